"""The sample servers, as the text of their files."""

from __future__ import annotations

from dataclasses import dataclass

PUBLIC = "203.0.113.2"
SYSTEM_ACCOUNTS = """\
root::0:0::0:0:Charlie &:/root:/bin/csh
toor:*:0:0::0:0:Bourne-again Superuser:/root:
daemon:*:1:1::0:0:Owner of many system processes:/root:/usr/sbin/nologin
operator:*:2:5::0:0:System &:/:/usr/sbin/nologin
bin:*:3:7::0:0:Binaries Commands and Source:/:/usr/sbin/nologin
tty:*:4:65533::0:0:Tty Sandbox:/:/usr/sbin/nologin
kmem:*:5:65533::0:0:KMem Sandbox:/:/usr/sbin/nologin
games:*:7:13::0:0:Games pseudo-user:/:/usr/sbin/nologin
news:*:8:8::0:0:News Subsystem:/:/usr/sbin/nologin
man:*:9:9::0:0:Mister Man Pages:/usr/share/man:/usr/sbin/nologin
sshd:*:22:22::0:0:Secure Shell Daemon:/var/empty:/usr/sbin/nologin
smmsp:*:25:25::0:0:Sendmail Submission User:/var/spool/clientmqueue:/usr/sbin/nologin
mailnull:*:26:26::0:0:Sendmail Default User:/var/spool/mqueue:/usr/sbin/nologin
bind:*:53:53::0:0:Bind Sandbox:/:/usr/sbin/nologin
unbound:*:59:59::0:0:Unbound DNS Resolver:/var/unbound:/usr/sbin/nologin
proxy:*:62:62::0:0:Packet Filter pseudo-user:/nonexistent:/usr/sbin/nologin
_pflogd:*:64:64::0:0:pflogd privsep user:/var/empty:/usr/sbin/nologin
_dhcp:*:65:65::0:0:dhcp programs:/var/empty:/usr/sbin/nologin
uucp:*:66:66::0:0:UUCP pseudo-user:/var/spool/uucppublic:/usr/local/libexec/uucp/uucico
pop:*:68:6::0:0:Post Office Owner:/nonexistent:/usr/sbin/nologin
auditdistd:*:78:77::0:0:Auditdistd unprivileged user:/var/empty:/usr/sbin/nologin
www:*:80:80::0:0:World Wide Web Owner:/nonexistent:/usr/sbin/nologin
mysql:*:88:88::0:0:MySQL Database Daemon:/var/db/mysql:/usr/sbin/nologin
ntpd:*:123:123::0:0:NTP Daemon:/var/db/ntp:/usr/sbin/nologin
_ypldap:*:160:160::0:0:YP LDAP unprivileged user:/var/empty:/usr/sbin/nologin
hast:*:845:845::0:0:HAST unprivileged user:/var/empty:/usr/sbin/nologin
tests:*:977:977::0:0:Unprivileged user for tests:/nonexistent:/usr/sbin/nologin
nobody:*:65534:65534::0:0:Unprivileged user:/nonexistent:/usr/sbin/nologin
"""
SYSTEM_GROUPS = """\
wheel:*:0:root
daemon:*:1:
kmem:*:2:
sys:*:3:
tty:*:4:
operator:*:5:root
mail:*:6:
bin:*:7:
news:*:8:
man:*:9:
games:*:13:
staff:*:20:
sshd:*:22:
smmsp:*:25:
mailnull:*:26:
guest:*:31:
bind:*:53:
unbound:*:59:
www:*:80:
mysql:*:88:
nogroup:*:65533:
nobody:*:65534:
"""
# The recorded host had these users besides alice; with them its passwd has its recorded size.
RECORDED_PEOPLE = ("alice", "bob", "carola")


@dataclass(frozen=True)
class Entry:
    """A file, or a directory where `text` is None."""

    text: str | None = None
    mode: int = 0o644
    owner: str = "root"
    group: str = "wheel"


def folder(mode: int = 0o755, owner: str = "root", group: str = "wheel") -> Entry:
    return Entry(None, mode, owner, group)


def accounts(people: int) -> dict[str, str]:
    names = [f"user{number:03d}" for number in range(1, people + 1)]
    return _account_files(names, "/usr/home")


def recorded_accounts() -> dict[str, str]:
    return _account_files(list(RECORDED_PEOPLE), "/home")


def _account_files(names: list[str], homes: str) -> dict[str, str]:
    master, group = SYSTEM_ACCOUNTS, SYSTEM_GROUPS
    for uid, name in enumerate(names, 1001):
        master += f"{name}:*:{uid}:{uid}::0:0:User &:{homes}/{name}:/bin/sh\n"
        group += f"{name}:*:{uid}:\n"
    return {"/etc/master.passwd": master, "/etc/group": group}


HTTPD = """\
ServerRoot "/usr/local"
Listen 80
User www
Group www
ServerName dcserver.example.org
DocumentRoot "/usr/local/www/apache24/data"
ErrorLog "/var/log/httpd-error.log"
UserDir public_html
Include etc/apache24/extra/*.conf
IncludeOptional etc/apache24/Includes/*.conf
"""
MODULES = ("proxy", "proxy_fcgi", "suexec", "suphp")
VHOSTS = """\
<VirtualHost *:80>
    ServerName www.example.org
    ServerAlias example.org
    DocumentRoot "/usr/local/www/example.org"
</VirtualHost>
<VirtualHost *:80>
    ServerName shop.example.org
    DocumentRoot "/usr/home/user001/public_html"
</VirtualHost>
"""
NAMED = f"""\
options {{
    directory "/usr/local/etc/namedb/working";
    pid-file "/var/run/named/pid";
    listen-on {{ {PUBLIC}; 127.0.0.1; }};
    recursion no;
}};
zone "example.org" {{
    type primary;
    file "/usr/local/etc/namedb/primary/example.org.db";
}};
"""
ZONE = f"""\
$TTL 300
@    IN SOA ns1.example.org. hostmaster.example.org. ( 2023042701 3600 900 604800 300 )
@    IN NS  ns1.example.org.
@    IN MX  10 mail.example.org.
@    IN A   {PUBLIC}
ns1  IN A   {PUBLIC}
www  IN A   {PUBLIC}
shop IN A   {PUBLIC}
mail IN A   {PUBLIC}
"""
MY_CNF = """\
[mysqld]
datadir = /var/db/mysql
socket = /var/run/mysql/mysql.sock
port = 3306
"""
RC_CONF = f"""\
# dcserver: set up in 2009, changed by many hands since
hostname="dcserver.example.org"
ifconfig_vtnet0="inet {PUBLIC}/24"
defaultrouter="203.0.113.1"
sshd_enable="YES"
sendmail_enable="YES"
named_enable="YES"
mysql_enable="YES"
apache24_enable="YES"
"""
RULES = """\
# our own rules; not loaded since the move to the new rack
add 100 allow ip from any to any via lo0
add 300 deny ip from 192.0.2.66 to any
add 60000 allow ip from any to any
"""
CRONTAB = """\
17 3 * * * /root/bin/backup-mysql
*/5 * * * * /usr/local/bin/check-disks
"""
ROOTS_NEWSYSLOG = """\
/var/log/httpd-access.log www:www 640 7 * @T00 B /var/run/apache24/httpd.pid 30
/var/log/httpd-error.log  www:www 640 7 * @T00 B /var/run/apache24/httpd.pid 30
"""
ROWS = "".join(f"order {number}\n" for number in range(1, 1001))
FSTAB = """\
# Device	Mountpoint	FStype	Options	Dump	Pass#
/dev/vtbd0p3	/	ufs	rw	1	1
"""


def server(people: int) -> dict[str, Entry]:
    """The daemons of the sample, their data, and what root keeps there."""
    found = _daemons() | {
        "/etc/rc.conf": Entry(RC_CONF),
        "/etc/fstab": Entry(FSTAB),
        "/etc/resolv.conf": Entry("nameserver 127.0.0.1\nsearch example.org\n"),
        "/etc/ipfw.rules": Entry(RULES),
        "/var/cron/tabs/root": Entry(CRONTAB, 0o600),
        "/etc/newsyslog.conf.d/apache.conf": Entry(ROOTS_NEWSYSLOG),
        "/root/bin": folder(),
        "/root/bin/backup-mysql": Entry("#!/bin/sh\nmysqldump --all-databases\n", 0o700),
        "/var/db/pkg/standin.json": Entry(
            '["bind918-9.18.14","apache24-2.4.57","mariadb1011-server-10.11.2"]\n'
        ),
    }
    for number in range(1, people + 1):
        name = f"user{number:03d}"
        home = f"/usr/home/{name}"
        found[home] = folder(0o751, name, name)
        found[f"{home}/public_html"] = folder(0o755, name, name)
        found[f"{home}/public_html/index.html"] = Entry(f"{name}'s page\n", 0o644, name, name)
    return found


def _daemons() -> dict[str, Entry]:
    return {
        "/usr/local/etc/apache24/httpd.conf": Entry(HTTPD),
        "/usr/local/etc/apache24/extra/vhosts.conf": Entry(VHOSTS),
        "/usr/local/etc/apache24/Includes": folder(),
        **{f"/usr/local/libexec/apache24/mod_{name}.so": Entry("a module\n") for name in MODULES},
        "/usr/local/www/apache24/data/index.html": Entry("It works!\n"),
        "/usr/local/www/example.org/index.html": Entry("example.org on dcserver\n"),
        "/usr/local/etc/namedb/named.conf": Entry(NAMED),
        "/usr/local/etc/namedb/working": folder(0o755, "bind", "bind"),
        "/usr/local/etc/namedb/primary/example.org.db": Entry(ZONE),
        "/usr/local/etc/mysql/my.cnf": Entry(MY_CNF),
        "/var/db/mysql": folder(0o700, "mysql", "mysql"),
        "/var/db/mysql/mysql": folder(0o700, "mysql", "mysql"),
        "/var/db/mysql/rows.ibd": Entry(ROWS, 0o660, "mysql", "mysql"),
        "/var/run/mysql": folder(0o755, "mysql", "mysql"),
        "/etc/mail/local-host-names": Entry("example.org\n"),
        "/var/spool/clientmqueue": folder(0o770, "smmsp", "smmsp"),
        "/var/spool/mqueue": folder(0o755, "root", "daemon"),
    }


BUSY_RC_CONF = (
    RC_CONF
    + """\
cloned_interfaces="lo1"   # the intranet lives there
ifconfig_lo1_alias0="inet 10.99.0.1/32"
ifconfig_vtnet0_alias0="inet 203.0.113.20/32" # for the old shop
firewall_enable="YES"
firewall_type="/etc/ipfw.rules"
jail_enable="YES"    # old
jail_list="old"
# don't touch: the backup counts on it
backup_window="3-4"
"""
)
BUSY_RULES = """\
# blocked by hand, 2014-2022
add 100 allow ip from any to any via lo0
add 200 set 1 deny ip from 192.0.2.66 to any
add 210 set 1 deny tcp from 192.0.2.0/25 to me 22
add 500 set 2 deny tcp from any to 203.0.113.20 25,110,143 in
add 60000 allow ip from any to any
"""
OLD_JAIL = """\
# the old shop, since 2012
old {
    path = "/usr/jails/old";
    host.hostname = "old.example.org";
    ip4.addr = 10.99.0.1;
    persist;
}
"""


def other_peoples() -> dict[str, Entry]:
    """Foreign files that a rollout and its rollback must leave unchanged."""
    return {
        "/etc/rc.conf": Entry(BUSY_RC_CONF),
        "/etc/ipfw.rules": Entry(BUSY_RULES),
        "/boot/loader.conf": Entry("net.inet.ip.fw.default_to_accept=1\n"),
        "/etc/jail.conf": Entry(OLD_JAIL),
        "/usr/jails/old": folder(),
        "/usr/jails/old/etc/motd": Entry("the old shop\n"),
    }


RECORDED_RC_CONF = f"""\
hostname="dcserver.example.org"
rc_startmsgs="NO"
ifconfig_vtnet0="inet {PUBLIC}/24"
defaultrouter="203.0.113.1"
sshd_enable="YES"
sendmail_enable="YES"
named_enable="YES"
mysql_enable="YES"
apache24_enable="YES"
"""
RECORDED_FSTAB = (
    FSTAB
    + """\
devfs	/compat/linux/dev	devfs	rw	0	0
fdescfs	/compat/linux/dev/fd	fdescfs	rw	0	0
tmpfs	/compat/linux/dev/shm	tmpfs	rw	0	0
"""
)


def recorded() -> dict[str, Entry]:
    return _daemons() | {
        "/etc/rc.conf": Entry(RECORDED_RC_CONF),
        "/etc/fstab": Entry(RECORDED_FSTAB),
        "/usr/home/alice": folder(0o755, "alice", "alice"),
    }
