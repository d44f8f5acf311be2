"""Where the host is reached, and the addresses, rule numbers and sets that nobody uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network

from rollout.errors import Refused
from rollout.site import PARTS_BEFORE
from rollout.site.model import LAST_SET, PARTS_AFTER
from survey.host import Host

_INNER = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))


@dataclass(frozen=True)
class Wan:
    """The public interface and address, where each was seen, and its other addresses."""

    interface: str
    address: IPv4Address
    seen: str
    others: tuple[IPv4Address, ...] = ()


def wan(host: Host) -> Wan:
    """The interface of the default route. Raises Refused where none can be told."""
    cards = {
        name: [IPv4Address(each) for each in has if "." in each and ":" not in each]
        for name, has in host.interfaces.items()
        if not name.startswith("lo")
    }
    cards = {name: has for name, has in cards.items() if has}
    name, seen = _card(host, cards)
    gateway = _gateway(host)
    networks = [each for each in host.networks if each.ip in cards[name]]
    near = [each.ip for each in networks if gateway and gateway in each.network]
    first, *others = sorted(cards[name], key=lambda each: each not in near[:1])
    return Wan(name, first, seen, tuple(others))


def seen_at(host: Host, wan: Wan, typed: str) -> dict[str, str]:
    """Where a router translates the address: the host's own -> the one that was typed for it, if no
    interface has that. One of a private network may be a way in of the administrator's alone.
    """
    try:
        there = IPv4Address(typed)
    except ValueError:
        return {}
    own = any(typed in has for has in host.interfaces.values())
    private = there.is_loopback or any(there in each for each in _INNER)
    return {} if own or private else {str(wan.address): typed}


def _card(host: Host, cards: dict[str, list[IPv4Address]]) -> tuple[str, str]:
    for destination, interface in host.routes:
        if destination == "default" and interface in cards:
            return interface, "netstat -rn -f inet: the default route"
    gateway = _gateway(host)
    for name, has in cards.items():
        networks = [each.network for each in host.networks if each.ip in has]
        if gateway and any(gateway in each for each in networks):
            return name, f"{host.place('defaultrouter')}: defaultrouter is in its network"
    if len(cards) == 1:
        return next(iter(cards)), "ifconfig -a: the only network card with an IPv4 address"
    raise Refused(
        f"{host.target}: no telling by which interface people reach it: it has no default route, "
        f"and {'no card has an IPv4 address' if not cards else ', '.join(cards) + ' have some'}",
        todo="begin with a copy of the sample site file (cellblock --help says where it is)",
    )


def _gateway(host: Host) -> IPv4Address | None:
    try:
        return IPv4Address(host.rc_conf.get("defaultrouter", ""))
    except ValueError:
        return None


_PRIVATE = (
    *(f"10.{number}.0.0/24" for number in range(80, 100)),
    *(f"172.{number}.80.0/24" for number in range(16, 32)),
    *(f"192.168.{number}.0/24" for number in range(80, 100)),
)
_WIDE = 8
"""Bits; a wider route is a default route by its size (as the check network_of_jails_is_free)."""


def free_network(host: Host) -> IPv4Network:
    """A private network that no route, address, name server or jail of the host is in."""
    taken = [*_routes(host), *(each.network for each in host.networks)]
    for network in map(IPv4Network, _PRIVATE):
        used = any(each in network for each in _addresses(host))
        if not used and not any(network.overlaps(each) for each in taken):
            return network
    raise Refused(
        f"{host.target}: every private network that was tried is in use",
        evidence=", ".join(_PRIVATE),
        todo="start from a copy of the sample site file, and give lan.network a free one",
    )


def _routes(host: Host) -> Iterator[IPv4Network]:
    for destination, _ in host.routes:
        if "/" in destination and "." in destination:
            network = ip_network(destination, strict=False)
            if isinstance(network, IPv4Network) and network.prefixlen >= _WIDE:
                yield network


def _addresses(host: Host) -> Iterator[IPv4Address]:
    yield from host.used
    for each in host.servers:
        if "." in each and ":" not in each:
            yield IPv4Address(each)


def free_interface(host: Host) -> str:
    """A loopback interface that neither is there nor is created at boot."""
    named = f"{host.rc_conf.get('cloned_interfaces', '')} {' '.join(host.interfaces)}".split()
    return next(name for number in range(1, 100) if (name := f"lo{number}") not in named)


def free_sets(host: Host, services: int) -> int:
    """The first of as many sets of ipfw in a row as are needed, which the host does not use."""
    parts = len(PARTS_BEFORE) + services + len(PARTS_AFTER)
    sets = {rule.set for rule in host.rules} - {0, LAST_SET + 1}
    starts = [20, *range(LAST_SET - parts + 1, 0, -1)]
    fits: list[int] = [
        first
        for first in starts
        if first + parts - 1 <= LAST_SET and not sets & set(range(first, first + parts))
    ]
    if not fits:
        raise Refused(
            f"{host.target}: ipfw has no {parts} sets in a row that its own rules do not use",
            evidence=f"in use: {', '.join(map(str, sorted(sets)))} (ipfw -S list)",
            todo="move rules of the host into one set (ipfw set move rule NUMBER to 1)",
        )
    return fits[0]
