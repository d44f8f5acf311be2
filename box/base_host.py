"""What a fresh FreeBSD 13 or later lacks to be the base host of a site; box/deploy.py brings it.

From packages and the base system: what the site's services are asked for by their clients (and by
the clients of box/clients) is there afterwards, and no more. The services are known by what their
ports are probed with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from box.clients.shop import Shop
from rollout.site import Site

ZONE = """\
$TTL 300
@ IN SOA ns1.{zone}. hostmaster.{zone}. ( 1 3600 900 604800 300 )
@ IN NS ns1.{zone}.
@ IN MX 10 mail.{zone}.
@ IN A {address}
ns1 IN A {address}
www IN A {address}
mail IN A {address}
"""
NAMED = """\
options {{
    directory "/usr/local/etc/namedb/working";
    pid-file "/var/run/named/pid";
    listen-on {{ {address}; 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion yes;
    allow-recursion {{ any; }};
}};
zone "{zone}" {{
    type primary;
    file "/usr/local/etc/namedb/primary/{zone}.db";
}};
"""
MY_CNF = """\
[client]
socket = {socket}
[mysqld]
datadir = /var/db/mysql
socket = {socket}
port = {port}
bind-address = 0.0.0.0
"""
HTTPD = """\
ServerName www.{zone}
LoadModule userdir_module libexec/apache24/mod_userdir.so
UserDir public_html
<FilesMatch "\\.php$">
    SetHandler application/x-httpd-php
</FilesMatch>
"""
MAILER = """\
sendmail /usr/libexec/sendmail/sendmail
mailq /usr/libexec/sendmail/sendmail
newaliases /usr/libexec/sendmail/sendmail
hoststat /usr/libexec/sendmail/sendmail
purgestat /usr/libexec/sendmail/sendmail
"""
PEOPLE = {"alice": 1001, "bob": 1002, "carola": 1003}


@dataclass(frozen=True)
class Part:
    """What one service needs: packages, files with their content, then lines of sh, in order."""

    name: str
    packages: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


def people() -> Part:
    lines = [
        f"pw usershow {name} >/dev/null 2>&1 || pw useradd {name} -u {uid} -m -s /bin/sh"
        for name, uid in PEOPLE.items()
    ]
    pages = [
        f"install -d -o {name} -g {name} /usr/home/{name}/public_html && "
        f'echo "{name}\'s page" > /usr/home/{name}/public_html/index.html'
        for name in PEOPLE
    ]
    homes = "[ -e /usr/home ] || ln -s /home /usr/home"  # FreeBSD 14 has the homes in /home
    return Part("people", lines=(*lines, homes, *pages))


def parts(site: Site, missing: set[str]) -> Iterator[Part]:
    """In the order of the site file."""
    yield people()
    zones = (each.name for service in site.services.values() for each in service.ports)
    zone = next((each for each in zones if each), "example.org")
    values = {"address": str(site.host.wan_address), "zone": zone}
    for name, service in site.services.items():
        if name not in missing:
            continue
        started = (f"sysrc {service.rcvar}=YES", f"service {service.rc} restart")
        probes = {each.probe: each.port for each in service.ports}
        if "dns" in probes:
            primary = f"/usr/local/etc/namedb/primary/{zone}.db"
            made = {
                primary: ZONE.format(**values),
                "/usr/local/etc/namedb/named.conf": NAMED.format(**values),
            }
            yield Part(name, ("bind918",), made, started)
        elif "mysql" in probes:
            socket = service.socket or "/var/run/mysql/mysql.sock"
            text = MY_CNF.format(socket=socket, port=probes["mysql"])
            databases = f'mysql -u root -e "{shop_sql()}"'
            yield Part(
                name,
                ("mariadb1011-server",),
                {"/usr/local/etc/mysql/my.cnf": text},
                (*started, databases),
            )
        elif "http" in probes:
            page = "/usr/local/www/apache24/data/index.html"
            made = {
                "/usr/local/etc/apache24/Includes/box.conf": HTTPD.format(**values),
                page: "<html><body><h1>It works!</h1></body></html>\n",
            }
            yield Part(name, ("apache24", "mod_php83", "php83-mysqli"), made, started)
        elif "smtp" in probes:
            made = {"/etc/mail/mailer.conf": MAILER, "/etc/mail/local-host-names": f"{zone}\n"}
            maps = "cd /etc/mail && make all install"
            yield Part(name, (), made, (maps, *started))


def shop_sql() -> str:
    """What the client that inserts wants (box/clients/shop.py)."""
    shop = Shop("")
    return " ".join(
        (
            f"CREATE DATABASE IF NOT EXISTS {shop.database};",
            f"CREATE TABLE IF NOT EXISTS {shop.database}.orders",
            "(id BIGINT AUTO_INCREMENT PRIMARY KEY, mark VARCHAR(64) NOT NULL) ENGINE=InnoDB;",
            f"CREATE USER IF NOT EXISTS '{shop.user}'@'%' IDENTIFIED BY '{shop.password}';",
            f"GRANT ALL ON {shop.database}.* TO '{shop.user}'@'%';",
        )
    )
