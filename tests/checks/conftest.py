"""What several checks read: asked of the host once for all checks of a run."""

from __future__ import annotations

import re
import shlex
from functools import cached_property
from ipaddress import IPv4Address
from typing import Any, NamedTuple

import pytest

from operations.carried import Ask
from operations.doors import Doors, Ends, View, Ways
from operations.facts import (
    JAIL_CONF,
    IsEmptyFileSystem,
    JailListeners,
    Listeners,
    Nats,
    Networks,
    OnePass,
    Routes,
    Rules,
    UsedAddresses,
)
from operations.host_decisions import PHASES, Obstacle, Proto, of_host
from operations.host_rules import Way
from operations.needs import Listener, Running
from operations.placing import Placed
from rollout import plan
from rollout.site import Site
from steps import carriers as carrying
from steps.carriers import Carriers
from tests.checks import leading
from tests.checks.asking import asking
from tests.checks.needing import Needing, of_services


@pytest.fixture(scope="session")
def ask(host: Any) -> Ask:
    return asking(host)


@pytest.fixture(scope="session")
def interfaces(host: Any) -> dict[str, str]:
    """Each interface's part of what ifconfig prints."""
    parts = re.split(r"(?m)^(?=\S)", host.check_output("ifconfig -a"))
    return {part.partition(":")[0]: part for part in parts}


@pytest.fixture(scope="session")
def rc_conf(host: Any) -> str:
    return str(host.check_output("cat /etc/rc.conf /etc/rc.conf.local 2>/dev/null || true"))


@pytest.fixture(scope="session")
def rules(host: Any) -> list[str]:
    """Of every set, enabled or disabled."""
    return list(host.check_output("ipfw -S list").splitlines())


@pytest.fixture(scope="session")
def mounts(host: Any) -> list[list[str]]:
    """Mount point, type and options of each mount."""
    return [line.split()[1:4] for line in host.check_output("mount -p").splitlines()]


@pytest.fixture(scope="session")
def jails(host: Any) -> dict[str, list[str]]:
    """The addresses of each jail that runs."""
    rows = [row.partition(" ") for row in host.check_output("jls name ip4.addr").splitlines()]
    return {name: addresses.split(",") for name, _, addresses in rows}


@pytest.fixture(scope="session")
def jails_there(host: Any, site: Site) -> list[tuple[str, str, str]]:
    """What may be a jail: where it is said, its name, and the line of jail.conf(5), if it is one.

    Asked for all jails of the site file at once. Without a name the line itself has it.
    """
    own = {path: name for name in site.built for path in _places(site, name)}
    homes = [f"{site.base.jails}/{name}" for name in site.built if site.disk(name) is None]
    empty = IsEmptyFileSystem.asked('"$each"')
    said = host.check_output(
        "jls name path | sed -e 's/^/jls /'; "
        f"for each in {' '.join(own)}; do case $each in {'|'.join(homes) or '-'}) "
        f'[ "$({empty})" = mounted ] && continue;; esac; ls -d "$each" 2>/dev/null; done; '
        f"{JAIL_CONF} | while read -r file; do "
        'awk \'{print FILENAME ":" FNR ":\\t" $0}\' "$file"; done'
    )
    found = []
    for row in said.splitlines():
        place, _, text = row.partition("\t")
        if row.startswith("jls "):
            _, name, path = row.split(" ", 2)
            found.append((f"jls: a jail of that name runs in {path}", name, ""))
        else:
            found.append((place.rstrip(":"), own.get(row, ""), text))
    return found


def _places(site: Site, jail: str) -> tuple[str, ...]:
    return (
        f"/etc/jail.{jail}.conf",
        f"/etc/jail.conf.d/{jail}.conf",
        f"{site.base.jails}/{jail}",
        *(site.disk(jail) or ()),
    )


@pytest.fixture(scope="session")
def jails_at_boot(host: Any) -> list[str]:
    return enabled_jails(host.check_output("sysrc -n jail_enable jail_list"))


def enabled_jails(said: str) -> list[str]:
    """The jails of jail_list, if jail_enable, printed before it, is a yes to rc.subr."""
    enabled, *names = said.split()
    return names if enabled.upper() in ("YES", "TRUE", "ON", "1") else []


@pytest.fixture(scope="session")
def links(host: Any, site: Site) -> list[str]:
    """In the configuration and the data of all services, asked for at once."""
    services = site.services.values()
    places = [path for each in services for path in (*each.configuration, *each.data)]
    return leading.printed(host, f"find -H {shlex.join(dict.fromkeys(places))}")


@pytest.fixture(scope="session")
def carriers(site: Site) -> Carriers:
    """What carries needs into jails, by the plan of the site."""
    return carrying.of(plan.make(site).steps, site)


@pytest.fixture(scope="session")
def running(ask: Ask, carriers: Carriers, site: Site) -> Running:
    """All daemons of the site's services that run on the host, asked in one round trip."""
    return of_services(ask, site, carriers)


@pytest.fixture(scope="session")
def needs(host: Any, ask: Ask, running: Running, carriers: Carriers, site: Site) -> Needing:
    return Needing(host, ask, running, carriers, site)


@pytest.fixture(scope="session")
def listening(running: Running) -> list[Listener]:
    """On the host itself, jails not included."""
    return list(running.listening())


class Served(NamedTuple):
    """A port of a service, where it answers, and whether at 127.0.0.1, too.

    `led` is how the rules begin that lead to its jail.
    """

    proto: Proto
    port: int
    public: bool
    at: list[str]
    local: bool
    led: str


class HostFirewall:
    """The host's own rules in ipfw, its addresses, and where its daemons listen on our ports."""

    def __init__(self, host: Any, site: Site) -> None:
        self._host = host
        self._ports = sorted({each.port for one in site.services.values() for each in one.ports})

    @cached_property
    def _said(self) -> list[list[str]]:
        """The answers to all questions, asked in one round trip."""
        lines = [
            *(fact().command() for fact in (Rules, Nats, OnePass, Networks)),
            *(fact().command() for fact in (UsedAddresses, Routes)),
            *(fact().command(self._ports) for fact in (JailListeners, Listeners)),
        ]
        said = self._host.check_output(f"; echo '{_MARK}'; ".join(lines))
        return [part.strip("\n").splitlines() for part in said.split(_MARK)]

    def _view(self, ways: Ways) -> View:
        first, last = ways.beside.sets
        rules, nats, one_pass, has, used, routes, inside, bound = self._said
        listed, instances = Rules().process(rules), Nats().process(nats)
        ours = [rule for rule in listed if first <= rule.set <= last]
        own = [each.ip for each in Networks().process(has)]
        return View(
            of_host(
                [rule for rule in listed if rule not in ours],
                nats=instances,
                ends_at_nat=OnePass().process(one_pass),
                floor=ways.beside.floor,
            ),
            ways.beside.own(own),
            Listeners().process(bound),
            tuple(ours),
            instances,
            ways.beside.apart,
            UsedAddresses().process(used),
            Routes().process(routes),
            JailListeners().process(inside),
        )

    def placed(self, ways: Ways) -> list[Placed]:
        """Our rules as they have to be. AssertionError when the host's leave no place for them."""
        try:
            return ways.placed(self._view(ways))
        except Obstacle as obstacle:
            raise AssertionError(str(obstacle)) from None

    def further(self, ways: Ways | None, jail: IPv4Address) -> Ends:
        """The addresses of the host that have one of their own in the jail with this primary
        address, for what is sent there over UDP.
        """
        return self.of_jails(ways).get(str(jail), {})

    def of_jails(self, ways: Ways | None) -> dict[str, Ends]:
        """The same for each jail, by its primary address."""
        if ways is None:
            return {}
        try:
            return ways.further(self._view(ways))
        except Obstacle as obstacle:
            raise AssertionError(str(obstacle)) from None

    def served(self, ways: Ways) -> list[Served]:
        """Before the move as the host's daemon listens, after it as our rules redirect."""
        view, found = self._view(ways), []
        for doors in (each for each in ways.each if isinstance(each, Doors)):
            for proto, port, public in doors.ports:
                at, local = view.served(doors, proto, port)
                led = doors.into(proto, port)
                # Those that the host has lost since, as at a boot, answer nobody.
                where = sorted(str(each) for each in at if each in view.own)
                found.append(Served(proto, port, public, where, local, led))
        return found

    def open_at(self, ways: Ways) -> dict[tuple[str, int], list[str]]:
        """Ports that are not public in the site file, and the addresses at which other machines
        reach them now.
        """
        wall = self._view(ways).wall
        found: dict[tuple[str, int], list[str]] = {}
        for each in (each for each in self.served(ways) if not each.public):
            at = tuple(map(IPv4Address, each.at))
            way = Way(each.proto, "in", each.port, phase=PHASES[each.proto][0], targets=at)
            if at and (not wall.rules or any(e.kind == "lets" for e in wall.decisions(way))):
                found[each.proto, each.port] = each.at
        return found

    def obstacles(self, ways: Ways) -> list[str]:
        return ways.obstacles(self._view(ways))


_MARK = "=== next"


@pytest.fixture(scope="session")
def firewall(host: Any, site: Site) -> HostFirewall:
    return HostFirewall(host, site)
