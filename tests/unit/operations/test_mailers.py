"""What the configuration of mail daemons names. The settings are from the manuals of postconf(5),
doveconf(1), and from FreeBSD's sendmail.cf."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations import mailers
from tests.unit.operations.asking import typed


def said(where: Path, script: str, text: str) -> mailers.Said:
    """What the fact makes of this output of postconf -nx or doveconf -n."""
    (where / "text").write_text(text)
    stubs = {
        "postconf": f'[ "$1" = -nx ] && cat {where}/text',
        "doveconf": f"cat {where}/text",
        "sockstat": "printf 'USER COMMAND PID FD PROTO LOCAL FOREIGN\\n"
        "mysql mysqld 7 3 stream /var/run/mysql/my.sock\\n'",
        "mount": "printf '/dev/x\\t%s/vmail/big\\tufs rw 1 1\\n' " + str(where),
    }
    done = typed(mailers.Settings().command([script]), where, None, **stubs)
    assert done.returncode == 0, done.stderr
    return mailers.Settings().process(done.stdout.splitlines())


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("virtual_mailbox_base = /var/vmail", "/var/vmail"),
        (
            "virtual_mailbox_maps = proxy:hash:/usr/local/etc/postfix/vmailbox",
            "/usr/local/etc/postfix/vmailbox",
        ),
        ("mail_location = maildir:/var/vmail/%d/%n/Maildir", "/var/vmail"),
        ("mail_location = mbox:~/mail:INBOX=/var/mail/u%n", "/var/mail"),
        ("ssl_cert = </etc/certs/mail.pem", "/etc/certs/mail.pem"),
        ("  args = uid=vmail gid=vmail home=/srv/mail/%d", "/srv/mail"),
        ('mailbox_command = /usr/local/bin/procmail -a "$EXTENSION"', "/usr/local/bin/procmail"),
        ("data_directory = $config_directory/x", None),
        ("relayhost = smtp://mail/x", None),
    ],
)
def test_paths_are_found_up_to_what_differs_by_user(
    tmp_path: Path, line: str, path: str | None
) -> None:
    name = line.split(maxsplit=1)[0]
    found = said(tmp_path, "dovecot", f"{line}\n")
    assert found.paths == (((path, f"doveconf: {name}"),) if path else ())


@pytest.mark.parametrize(
    "line",
    [
        "smtpd_milters = inet:127.0.0.1:8891, unix:/var/run/milter",
        "content_filter = smtp-amavis:[127.0.0.1]:8891",
        "smtpd_relay_restrictions = check_policy_service inet:localhost:8891",
        "Xopendkim, S=inet:8891@localhost",
    ],
)
def test_ports_of_this_machine_are_found(tmp_path: Path, line: str) -> None:
    found = said(tmp_path, "postfix", f"{line}\n")
    assert [port for port, _ in found.ports] == ["8891"]


@pytest.mark.parametrize(
    ("script", "setting", "table", "told"),
    [
        pytest.param(
            "postfix",
            "virtual_mailbox_maps = proxy:mysql:{}",
            "user = mail\npassword = /var/db/secret\nhosts = unix:/var/run/mysql/mysql.sock\n",
            "+ /var/run/mysql/mysql.sock 3 hosts",
            id="a socket",
        ),
        pytest.param(
            "postfix",
            "virtual_alias_maps = hash:/x, mysql:{}",
            "hosts = localhost\n",
            "+ /var/run/mysql/my.sock 1 hosts",
            id="MySQL's own socket",
        ),
        pytest.param(
            "postfix",
            "virtual_mailbox_maps = mysql:{}",
            "hosts = 127.0.0.1\n",
            "> 3306 1 hosts",
            id="MySQL's port",
        ),
        pytest.param(
            "postfix",
            "virtual_mailbox_maps = pgsql:{}",
            "# hosts = 127.0.0.1\nhosts = db.example.org 127.0.0.1:16458\n",
            "> 16458 2 hosts",
            id="a port",
        ),
        pytest.param(
            "postfix",
            "virtual_mailbox_maps = ldap:{}",
            "server_host = ldap://localhost/\nbind_pw = 127.0.0.1:7\n",
            "> 389 1 server_host",
            id="LDAP's port",
        ),
        pytest.param(
            "postfix",
            "virtual_mailbox_maps = mysql:{}",
            "hosts = db.example.net\n",
            "? db.example.net:3306 1 hosts",
            id="another machine's, by name",
        ),
        pytest.param(
            "dovecot",
            "passdb {{\n  args = {}\n  driver = ldap\n}}",
            "uris = ldaps://ldap.example.net\n",
            "? ldap.example.net:636 1 uris",
            id="LDAP over TLS",
        ),
        pytest.param(
            "dovecot",
            "passdb {{\n  args = {}\n  driver = sql\n}}",
            "driver = mysql\nconnect = host=/var/run/mysql/m.sock user=u password=/var/db/secret\n",
            "+ /var/run/mysql/m.sock 2 connect",
            id="Dovecot's SQL",
        ),
        pytest.param(
            "dovecot",
            "passdb {{\n  args = {}\n  driver = ldap\n}}",
            "uris = ldapi://%2fvar%2frun%2fldapi\ndnpass = /var/db/secret\n",
            "+ /var/run/ldapi 1 uris",
            id="Dovecot's LDAP",
        ),
    ],
)
def test_the_hosts_of_tables_are_found_and_not_their_passwords(
    tmp_path: Path, script: str, setting: str, table: str, told: str
) -> None:
    file = tmp_path / "table.cf"
    file.write_text(table)
    mark, what, line, name = told.split()
    found = said(tmp_path, script, setting.format(file) + "\n")
    among = {"+": found.paths, ">": found.ports, "?": found.others}[mark]
    assert (what, f"{file}:{line}") in among, found
    assert name in table
    assert "secret" not in str(found)
    assert len([each for each in found.ports if str(file) in each[1]]) == (mark == ">")


def test_a_socket_of_postfix_is_named_relative_to_its_queue(tmp_path: Path) -> None:
    found = said(tmp_path, "postfix", "smtpd_milters = unix:opendkim/socket, local:/var/run/x\n")
    assert {path for path, _ in found.paths} == {
        "/var/spool/postfix/opendkim/socket",
        "/var/run/x",
    }


@pytest.mark.parametrize(
    ("script", "line", "end"),
    [
        ("postfix", "relayhost = [smtp.example.net]:587", "smtp.example.net:587"),
        ("postfix", "default_transport = smtp:[192.168.7.20]", "192.168.7.20:25"),
        ("postfix", "smtpd_milters = inet:192.168.7.8:8891", "192.168.7.8:8891"),
        ("postfix", "relayhost = smtp.example.net:587", "smtp.example.net:587"),
        ("postfix", "default_transport = smtp:smtp.example.net:2525", "smtp.example.net:2525"),
        ("postfix", "smtpd_milters = inet:milter.example.net:8891", "milter.example.net:8891"),
        ("postfix", "relayhost = [2001:db8::25]", "[2001:db8::25]:25"),
        ("postfix", "relayhost = [2001:db8::25]:587", "[2001:db8::25]:587"),
        ("dovecot", "mail_replica = tcp:mx2.example.net:12345", "mx2.example.net:12345"),
        ("dovecot", "imapc_port = 993\nimapc_host = imap.example.net", "imap.example.net:993"),
        ("dovecot", "submission_relay_host = smtp.example.net", "smtp.example.net:25"),
        (
            "dovecot",
            "auth_policy_server_url = https://x.example.net/?a",
            "x.example.net:443",
        ),
        ("postfix", "smtpd_milters = inet:127.0.0.1:8891", None),
        ("postfix", "default_rbl_reply = 550 see http://www.example.net/x", None),
        ("postfix", "smtpd_client_event_limit_exceptions = [2001:db8::1]", None),
        ("postfix", "mydestination = [192.0.2.1], example.org", None),
        ("postfix", "mynetworks = 127.0.0.0/8 [::1]/128", None),
        ("dovecot", "mail_uid = vmail", None),
        ("postfix", "[::1]:10025 inet n - n - - smtpd", None),
        ("postfix", "[192.0.2.1]:10025 inet  n - n - - smtpd", None),
        (
            "postfix",
            "[::1]:10025 inet n - n - - smtpd -o content_filter=smtp:[2001:db8::9]:26",
            "[2001:db8::9]:26",
        ),
        ("postfix", "postscreen_dnsbl_sites = zen.spamhaus.org=127.0.0.[2..11]", None),
        ("postfix", "relayhost = [x.1]", "x.1:25"),
    ],
)
def test_servers_elsewhere_are_found_with_their_ports(
    tmp_path: Path, script: str, line: str, end: str | None
) -> None:
    assert [each for each, _ in said(tmp_path, script, f"{line}\n").others] == [end] * bool(end)


def test_a_web_server_at_localhost_has_its_usual_port(tmp_path: Path) -> None:
    line = (
        "mailbox_command = /usr/local/bin/gate --url http://localhost/rt --key https://127.0.0.1\n"
    )
    assert {port for port, _ in said(tmp_path, "postfix", line).ports} == {"80", "443"}


def test_accounts_are_found_and_no_value_is_kept(tmp_path: Path) -> None:
    text = "mail_uid = vmail\nservice x {\n  user = root\n}\nargs = uid=virt password=secret\n"
    found = said(tmp_path, "dovecot", text)
    assert {name for name, _ in found.accounts} == {"vmail", "root", "virt"}
    assert "secret" not in str(found)


def test_what_there_is_at_each_path_is_told_with_what_is_mounted_in_it(tmp_path: Path) -> None:
    for name in ("vmail/big", "etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/users").touch()
    text = f"base = {tmp_path}/vmail\nusers = {tmp_path}/etc/users\nno = {tmp_path}/no\n"
    found = said(tmp_path, "postfix", text)
    assert dict(found.there.kinds) == {
        f"{tmp_path}/vmail": "directory",
        f"{tmp_path}/etc/users": "file",
    }
    assert found.there.below == ((f"{tmp_path}/vmail", "/big"),)


def test_a_rule_for_spamc_is_a_port_unless_it_names_another(tmp_path: Path) -> None:
    """spamc(1): without -d or -U it asks 127.0.0.1 at port 783."""
    line = "spamassassin unix - n n - - pipe user=spamd argv=/usr/local/bin/spamc -f -e x"
    assert ("783", "postconf: spamassassin") in said(tmp_path, "postfix", f"{line}\n").ports
    for other in (line.replace("-f", "-U /var/run/spamd.sock"), "spam_spamcheck = yes"):
        assert said(tmp_path, "postfix", f"{other}\n").ports == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pwcheck_method: auxprop\nmech_list: PLAIN\n", "/etc/sasldb2 /etc/sasldb2.db"),
        ("pwcheck_method: auxprop\nsasldb_path: /data/sasldb\n", "/data/sasldb"),
        ("pwcheck_method: auxprop\nauxprop_plugin: sql\n", ""),
        ("pwcheck_method: saslauthd\n", "/var/run/saslauthd/mux"),
    ],
)
def test_the_passwords_of_sasl_are_found(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "here" / "sasl2").mkdir(parents=True)
    (tmp_path / "here" / "sasl2" / "smtpd.conf").write_text(text)
    asked = mailers._SASL.replace("/usr/local/lib/sasl2", "sasl2").replace("/usr/local/etc", "/etc")
    done = typed(asked, tmp_path / "here", None)
    assert done.stdout.strip() == (f"sasl2/smtpd.conf:1:= {told}" if told else "")


_TABLE = "user = mail\npassword = secret\nhosts = {}\n"
_CONNECT = "driver = mysql\nconnect = host={} dbname=m user=dove password=secret\n"
_2_4 = "mysql {} {{\n  user = dove\n  password = secret\n}}\npassdb sql {{\n  user = x\n}}\n"


@pytest.mark.parametrize(
    ("setting", "table", "told"),
    [
        ("maps = proxy:mysql:{}", _TABLE.format("127.0.0.1"), "{}:1 mail"),
        ("maps = mysql:{}", _TABLE.format("inet:localhost:3306"), "{}:1 mail"),
        ("maps = mysql:{}", _TABLE.format("localhost"), ""),
        ("maps = hash:{}", _TABLE.format("127.0.0.1"), ""),
        ("  args = {}", _CONNECT.format("127.0.0.1"), "{}:2 dove"),
        ("  args = {}", _CONNECT.format("/tmp/mysql.sock"), ""),
        (_2_4.format("127.0.0.1"), "", "doveconf:mysql dove"),
        (_2_4.format("/tmp/mysql.sock"), "", ""),
    ],
)
def test_users_of_tables_over_tcp_are_found(
    tmp_path: Path, setting: str, table: str, told: str
) -> None:
    file = tmp_path / "table.cf"
    file.write_text(table)
    (tmp_path / "text").write_text(setting.replace("{}", str(file)) + "\n")
    done = typed(
        mailers.database_users(["dovecot"]), tmp_path, None, doveconf=f"cat {tmp_path}/text"
    )
    assert done.stdout.strip() == told.format(file)
