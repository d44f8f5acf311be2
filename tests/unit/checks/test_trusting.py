"""Whom daemons that stay on the host let in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout import site
from rollout.site import Site
from tests.checks import trusting

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")
CONF = "/usr/local/etc/redis.conf:4:"
HBA = "/var/db/postgres/data16/pg_hba.conf:9:"


class Said:
    """A host that prints these lines."""

    def __init__(self, *rows: str) -> None:
        self.rows = rows

    def run(self, command: str) -> Any:
        return SimpleNamespace(rc=0, stdout="\n".join(self.rows))


def with_daemon(script: str, port: int, **jail: Any) -> Site:
    """The sample with such a daemon, which stays."""
    ports = [{"port": port, "probe": "tcp", "public": False}]
    table = {"rc": script, "rcvar": "x_enable", "ports": ports}
    daemon = type(SAMPLE.services["web"]).model_validate(table)
    own = SAMPLE.jails["bind"].model_copy(
        update={"address": "10.80.0.9", "services": ("x",), "hostname": "x.example.org"}
    )
    web = SAMPLE.jails["web"].model_copy(update=jail)
    order = tuple(each for each in SAMPLE.order if each not in ("policy", "bind"))
    update = {
        "services": {**SAMPLE.services, "x": daemon},
        "jails": {**SAMPLE.jails, "x": own, "web": web},
        "order": order,
    }
    return SAMPLE.model_copy(update=update)


@pytest.mark.parametrize(
    ("script", "rows", "lets_in"),
    [
        ("redis", [], False),
        ("redis", [f"{CONF}protected-mode yes"], False),
        ("valkey", [f"{CONF}protected-mode yes"], False),
        ("redis", [f"{CONF}protected-mode no"], True),
        ("redis", [f"{CONF}protected-mode yes", f"{CONF}requirepass x"], True),
        ("redis", [f"{CONF}user default x"], True),
        ("redis", [f"{CONF}user ann on x"], False),
        ("postgresql", [f"{HBA}host all all 127.0.0.1/32 md5"], False),
        ("postgresql", [f"{HBA}host all all 127.0.0.1 255.255.255.255 md5"], False),
        ("postgresql", [f"{HBA}host all all samehost md5"], True),
        (
            "postgresql",
            [f"{HBA}host a ann 127.0.0.1/32 md5", f"{HBA}host a all 10.80.0.0/24 md5"],
            True,
        ),
        (
            "postgresql",
            [f"{HBA}host a ann 127.0.0.1/32 md5", f"{HBA}host b ann 10.80.0.0/24 md5"],
            False,
        ),
        (
            "postgresql",
            [f"{HBA}host a ann 127.0.0.1/32 md5", f"{HBA}host a ann 10.0.0.0 255.0.0.0 md5"],
            True,
        ),
        ("postgresql", [f"{HBA}host all all ::1/128 md5"], True),
    ],
)
def test_caches_and_databases_that_pages_ask(script: str, rows: list[str], lets_in: bool) -> None:
    found = trusting.refusing(Said(*rows), with_daemon(script, 6379), "web")
    assert (not found) == lets_in
    assert all("10.80.0.4" in each for each in found)


@pytest.mark.parametrize(
    ("script", "rows", "lets_in"),
    [
        ("amavisd", [], False),
        ("amavisd", ["/a:3:@inet_acl = qw(127.0.0.1 [::1]);"], False),
        ("amavisd", ["/a:3:@inet_acl = qw(127.0.0.1", "/a:4: 10.80.0.0/24);"], True),
        ("sa-spamd", ["-c -d"], False),
        ("sa-spamd", ["-c -A 127.0.0.1,10.80.0. -d"], True),
        ("sa-spamd", ["--allowed-ips=127.0.0.1"], False),
    ],
)
def test_filters_that_mail_asks(script: str, rows: list[str], lets_in: bool) -> None:
    there = with_daemon(script, 10024)
    assert (not trusting.refusing(Said(*rows), there, "mail", [10024])) == lets_in
    assert not trusting.refusing(Said(*rows), there, "mail", [25])
    assert not trusting.refusing(Said(*rows), there, "web")


def test_one_that_no_page_asks_is_left() -> None:
    there = with_daemon("redis", 6379, unreached=("6379/tcp",))
    assert not trusting.refusing(Said(), there, "web")
    assert trusting.refusing(Said(), with_daemon("redis", 6379), "web")


def test_one_that_moves_along_is_asked_by_the_jails_address_too() -> None:
    """The kernel makes 127.0.0.1 the jail's own address, at both ends."""
    there = with_daemon("redis", 6379)
    web = there.jails["web"].model_copy(update={"services": ("web", "x")})
    jails = {name: each for name, each in there.jails.items() if name != "x"} | {"web": web}
    assert trusting.refusing(Said(), there.model_copy(update={"jails": jails}), "web")


@pytest.mark.parametrize(("said", "lets_in"), [("port 6379", False), ("port 0", True)])
def test_a_companion_is_asked_likewise(said: str, lets_in: bool) -> None:
    web = SAMPLE.services["web"]
    own = type(web.companions[0])(rc="redis", rcvar="redis_enable", configuration=())
    services = {**SAMPLE.services, "web": web.model_copy(update={"companions": (own,)})}
    there = SAMPLE.model_copy(update={"services": services})
    assert (not trusting.refusing(Said(f"{CONF}{said}"), there, "web")) == lets_in


@pytest.mark.parametrize(
    ("lines", "lets_in"),
    [
        ("", True),
        ("1:ALL : ALL : allow", True),
        ("1:sendmail : localhost : allow\n2:sendmail : ALL : deny", False),
        ("1:sendmail : localhost : allow\n2:sendmail : 10. : deny\n3:ALL : ALL : allow", False),
        ("1:ALL : 10.80.0.0/24 : allow\n2:ALL : ALL : deny", True),
        ("1:ALL : 10.80.0.0/255.255.255.0 : allow\n2:ALL : ALL : deny", True),
        ("1:sshd : ALL : deny", True),
        ("1:ALL EXCEPT sendmail : ALL : deny", True),
        ("1:ALL : ALL EXCEPT 127.0.0.1 : deny", False),
        ("1:sendmail : .example.org : deny", False),
        ("1:sendmail : .evil.example : deny", True),
        ("1:sendmail : \\\n2: ALL : twist /bin/echo no", False),
        ("1:ALL : [2001:db8::1] : deny\n2:ALL : ALL : allow", True),
    ],
)
def test_hosts_allow_is_read_as_libwrap_does(lines: str, lets_in: bool) -> None:
    found, _ = trusting.decides(lines.splitlines(), "sendmail", "10.80.0.4", "www.example.org")
    assert found == lets_in
