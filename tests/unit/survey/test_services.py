"""How each known service is drafted from what was seen of it."""

from __future__ import annotations

from typing import Any

from operations import apache
from operations.carried import There
from survey import services
from survey.daemons import by_script
from survey.draft import Draft
from survey.facts import Kinds, NamedConf, RootsMySQL, Script, Zones
from survey.host import Host
from tests.unit.survey.seen import host, opened

# In the form of named-checkconf -px of BIND 9.18 (tests/unit/checks/test_named_conf.py).
CONF = """\
options {
	directory "/usr/local/etc/namedb/working";
	pid-file "/var/run/named/named.pid";
	key-directory "/usr/local/etc/namedb/keys";
};
zone "example.org" {
	type primary;
	file "/usr/local/etc/namedb/primary/example.org.db";
};
zone "example.net" {
	type secondary;
	file "/data/zones/net/example.net";
};
zone "top.example" {
	type primary;
	file "/usr/local/etc/namedb/top.db";
};
"""
FOLDERS = {
    "/usr/local/etc/namedb": "directory",
    "/usr/local/etc/namedb/working": "directory",
    "/usr/local/etc/namedb/primary": "directory",
    "/usr/local/etc/namedb/keys": "directory",
    "/usr/local/etc/namedb/primary/example.org.db": "file",
    "/data/zones/net": "directory",
    "/var/run/named": "directory",
}


def described(seen: Host, service: str) -> tuple[dict[str, Any], Draft]:
    known = next(each for each in services.KNOWN if each.service == service)
    found, _ = by_script(seen)
    draft = Draft()
    known.describe(seen, next(found[each] for each in known.scripts if each in found), draft)
    return {key: each.what for key, each in draft.tables[f"services.{service}"].items()}, draft


def test_bind_has_the_directories_of_its_zones_and_keys() -> None:
    """Not that of named.conf itself, which is copied, nor what is made anew at each boot."""
    zones = ("1.168.192.in-addr.arpa", "example.org")
    seen = host(facts={NamedConf: CONF, Zones: zones, Kinds: FOLDERS})
    found, draft = described(seen, "bind")
    assert found["data"] == [
        "/data/zones/net",
        *(f"/usr/local/etc/namedb/{each}" for each in ("keys", "primary", "working")),
    ]
    assert {each["name"] for each in found["ports"]} == {"example.org"}
    assert [each["port"] for each in found["ports"]] == [53, 53]  # rndc's 953 is typed in the jail
    assert found["names"] == ["rndc", "/var/run/named/named.pid"]
    assert found["user"] == "bind"
    assert "file /data/zones/net/example.net" in draft.tables["services.bind"]["data"].seen


def test_mysql_has_its_data_where_its_process_works() -> None:
    found, draft = described(host(kinds={"/usr/local/etc/mysql": "directory"}), "mysql")
    assert (found["data"], found["socket"]) == (["/var/db/mysql"], "/tmp/mysql.sock")
    assert found["configuration"] == ["/usr/local/etc/mysql"]
    assert "client" not in found
    assert [each.key for each in draft.questions] == ["client"]


def test_mysql_that_works_elsewhere_has_its_data_where_its_files_are() -> None:
    """And by the path that people know: procstat follows links."""
    files = (
        opened("628", "mariadbd", "cwd", "/"),
        opened("628", "mariadbd", "12", "/data/my sql/other"),
        opened("628", "mariadbd", "11", "/data/mysql/ibdata1"),
    )
    seen = host(opened=files, led=(("/var/db/mysql", "/data/mysql"),), facts={RootsMySQL: True})
    found, draft = described(seen, "mysql")
    assert found["data"] == ["/var/db/mysql"]
    assert (found["client"], draft.questions) == ("/usr/local/bin/mysql", [])
    assert described(host(opened=files), "mysql")[0]["data"] == ["/data/mysql"]


def lines(*said: str) -> tuple[apache.Line, ...]:
    rows = (each.split(":", 2) for each in said)
    return tuple(apache.Line(file, number, tuple(text.split())) for file, number, text in rows)


HTTPD = "/usr/local/etc/apache24/httpd.conf"


def test_apache_is_asked_for_its_first_virtual_host_and_has_what_it_includes() -> None:
    said = apache.Said(
        lines(
            f"{HTTPD}:1: ServerName host.example.org",
            f"{HTTPD}:2: DocumentRoot /usr/local/www/data",
            f"{HTTPD}:3: Include /data/vhosts",
            f"{HTTPD}:4: Include /data/gone.conf",
            "/data/vhosts/a.conf:1: <VirtualHost *:80>",
            "/data/vhosts/a.conf:2: ServerName www.example.org",
            "/data/vhosts/a.conf:3: </VirtualHost>",
        ),
        There((("/data/vhosts", "directory"),)),
    )
    fpm = Script("php-fpm", (("php_fpm_enable", True),))
    seen = host(
        facts={apache.Directives: said},
        scripts=(fpm,),
        assigned={"php_fpm_enable": "/etc/rc.conf:9"},
        kinds={"/usr/local/etc/php-fpm.conf": "file"},
    )
    found, draft = described(seen, "web")
    assert found["ports"] == [{"port": 80, "probe": "http", "name": "www.example.org"}]
    assert found["configuration"] == ["/usr/local/etc/apache24", "/data/vhosts"]
    assert found["data"] == ["/usr/local/www"]
    assert found["companions"] == [
        {
            "rc": "php-fpm",
            "rcvar": "php_fpm_enable",
            "configuration": ["/usr/local/etc/php-fpm.conf"],
        }
    ]
    assert draft.tables["services.web"]["companions"].seen == "/etc/rc.conf:9"
    assert f"{HTTPD}:3" in draft.tables["services.web"]["configuration"].seen


def test_mail_is_sendmails_or_postfixs_and_dovecot_is_a_service_beside_it() -> None:
    found, _ = described(host(kinds={"/var/mail": "directory"}), "mail")
    assert (found["rc"], found["rcvar"]) == ("sendmail", "sendmail_enable")
    assert (found["configuration"], found["data"]) == (["/etc/mail"], ["/var/mail"])
    dovecot = Script("dovecot", (("dovecot_enable", True),))
    sockets = [f"root dovecot 660 7 tcp4 *:{port} *:*" for port in (143, 993, 4190)]
    seen = host(*sockets, started=(("dovecot", "660"),), scripts=(dovecot,))
    found, draft = described(seen, "imap")
    assert [each.get("probe") for each in found["ports"]] == ["imap", "imaps", None]
    assert [each.key for each in draft.questions] == ["test_account"]
