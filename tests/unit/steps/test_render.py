"""Templates: a missing variable is refused by name, and the output parses as what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout import site
from rollout.audit import Finding
from rollout.errors import Refused
from steps.render import render

PROJECT = Path(__file__).parents[3]
SAMPLE = site.read(PROJECT / "site.example.toml")
TEMPLATES = sorted(
    str(each.relative_to(PROJECT / "steps/templates").with_suffix(""))
    for each in (PROJECT / "steps" / "templates").rglob("*.j2")
)
VALUES: dict[str, dict[str, Any]] = {
    "base/below.sh": {},
    "base/cellblock": {"journal": "/var/db/cellblock"},
    "jail/disk": {
        "script": "cellblock_disk_web",
        "jail": "web",
        "image": "/usr/jails/.disks/web",
        "home": "/usr/jails/web",
    },
    "jail/full": {},
    "jail/hosts": {"jail": SAMPLE.jails["web"], "jails": SAMPLE.jails.values()},
    "jail/jail.conf": {
        "name": "web",
        "jail": SAMPLE.jails["web"].model_copy(update={"parameters": {"allow.raw_sockets": "1"}}),
        "root": "/usr/jails/web/root",
        "fstab": "/usr/jails/web/fstab",
        "below": "/usr/local/etc/cellblock/below.sh",
        "ready": "/usr/local/etc/rc.d/cellblock_firewall oneready",
        "planted": ["/usr/jails/mysql/root/var/run/mysql", "/usr/jails/mysql/root/tmp"],
        "created": ["rctl -a x", "cpuset -l 0 -j web"],
        "stopped": ["rctl -r x"],
    },
    "jail/rc.conf": {"name": "web", "rcvars": ["apache24_enable"], "runs_queue": False},
    "mail/mailer.conf": {},
    "mysql/notice": {
        "account": "alice",
        "name": "mysql.example.org",
        "findings": [Finding("alice", "localhost", "/home/alice/a.php", line=7)],
    },
    "mysql/quota": {
        "data": "/var/db/mysql",
        "user": "mysql",
        "jail": "mysql",
        "ranges": ((1001, 1999), (3000, 3999)),
        "journal": "/var/db/cellblock",
    },
    "jail/follow": {
        "jail": "web",
        "lowest": 1001,
        "highest": 1999,
        "written": [("/usr/local/etc/php-fpm.conf", "php-fpm", "onereload")],
        "filled": "'{print}'",
        "told": "/var/run/told",
    },
    "network/cellblock_firewall": {"directory": "/usr/local/etc/cellblock/rules"},
    "service/rc.conf.d": {"rc": "apache24", "jail": "web"},
    "web/handler-fpm.conf": {"modules": "libexec/apache24", "public": "public_html"},
    "web/handler-suexec.conf": {
        "modules": "libexec/apache24",
        "public": "public_html",
        "php_cgi": "/usr/local/bin/php-cgi",
    },
    "web/handler-suphp.conf": {
        "modules": "libexec/apache24",
        "public": "public_html",
        "config": "/usr/local/etc/suphp.conf",
    },
    "web/owner.php": {},
    "web/php-fpm.conf": {
        "user": "www",
        "children": 5,
        "guard": "/usr/local/etc/php-owner.php",
    },
    "web/suphp.conf": {
        "user": "www",
        "public": "public_html",
        "uids": (1001, 1999),
        "php_cgi": "/usr/local/bin/php-cgi",
    },
}


def test_every_template_is_looked_at_here() -> None:
    assert sorted(VALUES) == TEMPLATES


@pytest.mark.parametrize(
    ("template", "missing"), [(name, key) for name, given in VALUES.items() for key in given]
)
def test_a_variable_that_nobody_gave_is_refused_by_name(template: str, missing: str) -> None:
    given = {key: value for key, value in VALUES[template].items() if key != missing}
    with pytest.raises(Refused) as caught:
        render(template, **given)
    assert f"steps/templates/{template}.j2: '{missing}' is undefined" in str(caught.value)


@pytest.mark.parametrize("template", VALUES)
def test_what_is_written_ends_with_one_newline_and_has_no_trace_of_the_template(
    template: str,
) -> None:
    text = render(template, **VALUES[template])
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "{{" not in text
    assert "{%" not in text


def test_the_jail_conf_of_a_jail() -> None:
    text = render("jail/jail.conf", **VALUES["jail/jail.conf"])
    rows = [row.strip() for row in text.splitlines()]
    assert rows[1] == "web {"
    assert rows[-1] == "}"
    for row in (
        'path = "/usr/jails/web/root";',
        'host.hostname = "www.example.org";',
        "ip4.addr = 10.80.0.4;",
        'mount.fstab = "/usr/jails/web/fstab";',
        'exec.prepare = "/usr/local/etc/rc.d/cellblock_firewall oneready";',
        'exec.prepare += "/bin/realpath /usr/jails/mysql/root/var/run/mysql | /usr/bin/grep -qxF '
        "/usr/jails/mysql/root/var/run/mysql && /bin/realpath /usr/jails/mysql/root/tmp | "
        '/usr/bin/grep -qxF /usr/jails/mysql/root/tmp";',
        "devfs_ruleset = 4;",
        'allow.raw_sockets = "1";',
        'exec.created += "rctl -a x";',
        'exec.poststop += "rctl -r x";',
    ):
        assert row in rows
    assert not [row for row in rows if "interface" in row], "rc.conf owns the aliases"


def test_the_rc_conf_of_a_jail_starts_nothing_yet() -> None:
    rows = render("jail/rc.conf", **VALUES["jail/rc.conf"]).splitlines()
    assert 'apache24_enable="NO"' in rows
    assert not [row for row in rows if '="YES"' in row]


def test_a_notice_says_where_and_what_to_write() -> None:
    text = render("mysql/notice", **VALUES["mysql/notice"])
    assert text.startswith("To alice\n")
    assert "    /home/alice/a.php, line 7\n" in text
    assert "Please write mysql.example.org" in text
