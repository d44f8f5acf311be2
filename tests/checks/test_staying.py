"""Daemons that stay on the host, and the programs in a jail that ask them."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Any, NamedTuple

from operations.carried import is_in
from operations.needs import Listener, Running
from rollout.site import Site
from tests.checks import trusting
from tests.checks.asking import acting_as

_SYSTEMS = ("/var/run/log", "/var/run/logpriv", "/var/run/rpcbind.sock", "/var/run/nscd")
"""Sockets of the system's own daemons: programs in a jail have their own, or do without."""
_SYSTEM_DIRECTORIES = ("/var/run/devd", "/var/run/casper")
_NOT_OF_PAGES = (
    *("sshd", "sshd-sessi"),  # and what ssh forwards, for one login; sockstat shows ten letters
    *("ntpd", "chronyd", "syslogd", "rpcbind", "nfsd", "mountd", "rpc.statd", "rpc.lockd"),
)
_NAMES = (53, 953)  # jails have a resolv.conf of their own (test_recursion); rndc is root's
_EPHEMERAL = 10000
"""The first of net.inet.ip.portrange: a UDP socket there is a client's."""


class Stays(NamedTuple):
    """A port (as 6379/tcp) or a socket of a daemon that is of no service in the site file."""

    daemon: str
    what: str
    at: str


def test_daemons_are_found_from_the_jail(
    host: Any, running: Running, site: Site, service: str
) -> None:
    """What listens for programs of this host alone is there for somebody; in a jail it is not.

    PHP of accounts asks caches and databases which no configuration of a daemon names.
    """
    jail = site.jail_of(service)
    known = site.jails[jail].unreached
    lost = [each for each in _ports(running, site) if each.what not in known]
    sockets = [each for each in _sockets(running, site, jail) if each.what not in known]
    lost += _open_to(host, site.services[service].user, sockets)
    say = ", ".join(f'"{each.what}"' for each in lost)
    assert not lost, (
        f"{'; '.join(f'{each.daemon} listens at {each.at}' for each in lost)}: programs in jail "
        f"{jail} that ask there today would find nobody. Describe such a daemon as "
        "[services.NAME] with that port, in a jail of its own, and leave NAME out of `order`; "
        f"mount the directory of a socket by jails.{jail}.mounts; or, where no program of a site "
        f"asks, say so: jails.{jail}.unreached = [{say}]"
    )


def test_daemons_let_in_the_jail(host: Any, site: Site, service: str) -> None:
    """A cache or database may know programs of this host as 127.0.0.1 alone, also in their jail."""
    jail = site.jail_of(service)
    strangers = trusting.refusing(host, site, jail)
    assert not strangers, (
        f"services.{service}: programs in jail {jail} come from {site.jails[jail].address}, and "
        f"these daemons would turn them away: {'; '.join(strangers)}; or, "
        f"where no program of a site asks, name the port in jails.{jail}.unreached"
    )


def _ports(running: Running, site: Site) -> Iterator[Stays]:
    described = {(each.proto, each.port) for one in site.services.values() for each in one.ports}
    own = {pid for pid, _ in running.first}
    # A child that is gone by now is known by the port at which its parent listens, too.
    served = {(each.proto[:3], each.port) for each in running.listening() if each.pid in own}
    told = set()
    for each in running.listening():
        proto, pair = each.proto[:3], (each.proto[:3], each.port)
        system = each.command[:10] in _NOT_OF_PAGES or each.port in _NAMES
        known = pair in described or pair in told or pair in served
        if not system and not known and _is_asked_here(each):
            told.add(pair)
            at = f"{each.address}:{each.port}/{proto}"
            yield Stays(f"{each.command} {each.pid}", f"{each.port}/{proto}", at)


def _is_asked_here(listener: Listener) -> bool:
    """At 127.0.0.1 or ::1. A UDP socket at any address, or at a high port, may be a client's."""
    if listener.proto.startswith("udp"):
        return not listener.for_others and listener.port < _EPHEMERAL
    return listener.at_loopback or not listener.for_others


def _sockets(running: Running, site: Site, jail: str) -> Iterator[Stays]:
    own = {pid for pid, _ in running.first}
    named = {each.socket for each in site.services.values() if each.socket}
    named |= {path for pid, path in running.unix if pid in own}
    for pid, path in running.unix:
        systems = path in _SYSTEMS or path.startswith(_SYSTEM_DIRECTORIES)
        has = is_in(path, site.paths(jail)) or path in named
        if path.startswith("/") and pid not in own and not systems and not has:
            yield Stays(f"process {pid}", path, path)


def _open_to(host: Any, user: str, sockets: list[Stays]) -> list[Stays]:
    """Those to which this user may connect: one has to be able to write to the socket's file."""
    words = " ".join(quote(each.at) for each in sockets)
    asked = f'for each in {words}; do [ ! -w "$each" ] || echo "$each"; done'
    may = host.check_output(acting_as(user, asked)).splitlines() if sockets else []
    return [each for each in sockets if each.at in may]
