"""A host as a survey has read it, made of the facts that a test gives."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from operations.needs import Open, Running
from survey.facts import About, Script
from survey.host import Host

# As sockstat -46lq prints them on 13.2 (tests/contract/freebsd-13.2.json), with pids.
SOCKETS = (
    "bind     named      900   29 udp4   203.0.113.2:53        *:*",
    "bind     named      900   31 tcp4   203.0.113.2:53        *:*",
    "bind     named      900   35 udp4   127.0.0.1:53          *:*",
    "bind     named      900   37 tcp4   127.0.0.1:53          *:*",
    "bind     named      900   39 tcp4   127.0.0.1:953         *:*",
    "mysql    mariadbd   628   21 tcp4   *:3306                *:*",
    "root     httpd      700   4  tcp46  *:80                  *:*",
    "www      httpd      701   4  tcp46  *:80                  *:*",
    "root     sendmail   650   3  tcp4   *:25                  *:*",
    "root     sendmail   650   5  tcp6   *:25                  *:*",
    "root     sshd       746   4  tcp4   *:22                  *:*",
)
STARTED = (
    ("named", "900"),
    ("mysql-server", "628"),
    ("apache24", "700"),
    ("sendmail", "650"),
)
SCRIPTS = (
    Script("named", (("named_enable", True),)),
    Script("mysql-server", (("mysql_enable", True),)),
    Script("apache24", (("apache24_enable", True),)),
    Script("sendmail", (("sendmail_enable", True), ("sendmail_submit_enable", True))),
)


def opened(pid: str, command: str, fd: str, name: str) -> Open:
    return Open(pid, command, fd, "v", "d" if fd == "cwd" else "r", "r-------", "-", name)


def host(
    *sockets: str,
    started: tuple[tuple[str, str], ...] = (),
    scripts: tuple[Script, ...] = (),
    facts: Mapping[type, Any] | None = None,
    **more: Any,
) -> Host:
    """By default the sample's daemons, with these sockets and scripts besides."""
    rows = (*SOCKETS, *sockets)
    users: dict[str, tuple[str, ...]] = {}
    for row in map(str.split, rows):
        users[row[-5]] = (*users.get(row[-5], ()), row[0])
    pids = tuple(dict.fromkeys(row.split()[-5] for row in rows))
    running = Running(
        sockets=rows,
        unix=more.pop("unix", (("628", "/tmp/mysql.sock"),)),
        first=tuple((pid, pid) for pid in pids),
        opened=more.pop("opened", (opened("628", "mariadbd", "cwd", "/var/db/mysql"),)),
        led=more.pop("led", ()),
        scripts=(*STARTED, *started),
    )
    known = facts or {}

    def ask(fact: Any, **_: Any) -> Any:
        return known[fact] if fact in known else fact.default()

    given: dict[str, Any] = {
        "target": "root@203.0.113.2",
        "about": About("FreeBSD", "13.2-RELEASE", "0", "dcserver.example.org", False),
        "interfaces": {"vtnet0": ("203.0.113.2",), "lo0": ("127.0.0.1", "::1")},
        "networks": (IPv4Interface("203.0.113.2/24"), IPv4Interface("127.0.0.1/8")),
        "routes": (("default", "vtnet0"), ("203.0.113.0/24", "vtnet0")),
        "used": (IPv4Address("203.0.113.2"), IPv4Address("127.0.0.1")),
        "jails": (),
        "rc_conf": {},
        "assigned": {},
        "people": (),
        "rules": (),
        "servers": (),
        "kinds": {},
    }
    return Host(
        **(given | more), scripts=(*SCRIPTS, *scripts), running=running, users=users, ask=ask
    )
