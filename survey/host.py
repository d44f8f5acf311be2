"""What a survey has read of a host: everything that a draft is made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from operations import apache, mailers, mysql, php
from operations.carried import Ask
from operations.facts import (
    HostRules,
    Interfaces,
    JailConf,
    Jails,
    Networks,
    RcConf,
    Rule,
    UsedAddresses,
)
from operations.needs import Daemons, Listener, Running, listeners
from rollout.errors import Refused
from rollout.host.session import Session, testinfra_host
from survey.facts import (
    About,
    Account,
    Assigned,
    Kinds,
    NamedConf,
    NameServers,
    People,
    RootsMySQL,
    Routes,
    Script,
    Scripts,
    Sockets,
    System,
    Zones,
)
from tests.checks.asking import asking

APACHE = "/usr/local/etc/apache24"
NAMED = "/usr/local/etc/namedb"
PLACES = (
    *(APACHE, NAMED, "/usr/local/etc/mysql", "/usr/local/etc/postfix", "/usr/local/etc/dovecot"),
    *("/etc/mail", "/var/mail", "/var/db/mysql", "/usr/local/www"),
    *php.PLACES,
)
"""Where the ports that Cellblock knows have their configuration and their data."""


@dataclass(frozen=True)
class Host:
    """`ask` gives any further fact. `kinds` is what there is of `PLACES`."""

    target: str
    about: About
    interfaces: dict[str, tuple[str, ...]]
    networks: tuple[IPv4Interface, ...]
    routes: tuple[tuple[str, str], ...]
    used: tuple[IPv4Address, ...]
    jails: tuple[str, ...]
    rc_conf: dict[str, str]
    assigned: dict[str, str]
    scripts: tuple[Script, ...]
    people: tuple[Account, ...]
    rules: tuple[Rule, ...]
    servers: tuple[str, ...]
    kinds: dict[str, str]
    running: Running
    users: dict[str, tuple[str, ...]]
    ask: Ask

    def script_of(self, listener: Listener) -> Script | None:
        """The rc script that has started what listens there."""
        first = dict(self.running.first)
        top = first.get(listener.pid, listener.pid)
        by_pid = {pid: name for name, pid in self.running.scripts}
        by_pid |= {first[pid]: name for pid, name in by_pid.items() if pid in first}
        name = by_pid.get(listener.pid) or by_pid.get(top)
        return next((each for each in self.scripts if each.name == name), None)

    def place(self, variable: str) -> str:
        """Where an rc variable is set."""
        return self.assigned.get(variable, "")


_FIRST: tuple[tuple[Any, dict[str, Any]], ...] = (
    (System, {}),
    (Interfaces, {}),
    (Networks, {}),
    (Routes, {}),
    (UsedAddresses, {}),
    (JailConf, {}),
    (Jails, {}),
    (RcConf, {}),
    (Assigned, {}),
    (Scripts, {}),
    (People, {}),
    (NameServers, {}),
    (Sockets, {}),
    (HostRules, {"first": 99, "last": 99}),
    (Kinds, {"paths": PLACES}),
    # Of the daemons that Cellblock knows: empty where there is none.
    (NamedConf, {}),
    (Zones, {}),
    (RootsMySQL, {}),
    (apache.Directives, {"places": (APACHE,)}),
    (php.Settings, {"places": (APACHE,)}),
    (mysql.Settings, {"places": mysql.FILES}),
    (mailers.Settings, {"scripts": ("sendmail",)}),
    (mailers.Settings, {"scripts": ("postfix", "dovecot")}),
)


def read(session: Session) -> Host:
    """Ask a host, in a constant number of round trips. Raises Refused for one that is not fit."""
    host = testinfra_host(session)
    ask = asking(host)
    _at_once(host, [partial(ask, fact, **more) for fact, more in _FIRST])
    about: About = ask(System)
    _must_be_fit(session.target.name, about)
    rows: tuple[str, ...] = ask(Sockets)
    scripts: tuple[Script, ...] = ask(Scripts)
    running: Running = ask(
        Daemons,
        ports=sorted({each.port for each in listeners(rows)}) or [0],
        scripts=[each.name for each in scripts],
        places=PLACES,
    )
    users: dict[str, tuple[str, ...]] = {}
    for row in map(str.split, rows):
        users[row[-5]] = (*users.get(row[-5], ()), row[0])
    return Host(
        target=session.target.name,
        about=about,
        interfaces=ask(Interfaces),
        networks=ask(Networks),
        routes=ask(Routes),
        used=ask(UsedAddresses),
        jails=(*ask(Jails), *ask(JailConf)),
        rc_conf=ask(RcConf),
        assigned=ask(Assigned),
        scripts=scripts,
        people=ask(People),
        rules=ask(HostRules, first=99, last=99),
        servers=ask(NameServers),
        kinds=ask(Kinds, paths=PLACES),
        running=running,
        users=users,
        ask=ask,
    )


def _at_once(host: Any, calls: Sequence[Callable[[], object]]) -> None:
    for ended in host.backend.together.run(calls):
        if ended.error is not None:
            raise ended.error


def _must_be_fit(target: str, about: About) -> None:
    if about.system != "FreeBSD":
        raise Refused(
            f"{target} is {about.system or 'no system that says what it is'}: expected FreeBSD",
            todo="name the FreeBSD server whose services are to move",
        )
    if about.jailed:
        raise Refused(
            f"{target} is a jail itself: Cellblock moves the services of a base host",
            todo="name the host that this jail runs on",
        )
