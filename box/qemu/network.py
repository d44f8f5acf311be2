"""The guest's network without root: qemu forwards ports of this machine to the guest.

The guest has the site's public address on a network that exists only inside qemu (slirp). It can
reach whatever this machine can reach. (restrict=on would prevent that, but also drop its answers
over UDP.)
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType
from typing import Protocol, Self

from rollout.errors import Refused
from rollout.probe.watches import Doors
from rollout.site import Site

LOCAL = "127.0.0.1"
SSH = 22
_TRIES = 20
ID = "wire"  # of the netdev, in qemu


class Network(Protocol):
    """The network between this machine and a guest."""

    @property
    def kind(self) -> str:
        """The kind of network; a snapshot fits only one kind."""
        ...

    @property
    def ssh(self) -> tuple[str, int]:
        """The address and port by which this machine reaches the guest's sshd."""
        ...

    @property
    def known_as(self) -> str:
        """The guest's name in a known_hosts that was made for its own address."""
        ...

    @property
    def sources(self) -> Sequence[str]:
        """Source addresses for clients, if there are several."""
        ...

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        """The address and port by which this machine reaches a public port of the guest."""
        ...

    def netdev(self) -> str:
        """The value of qemu's option -netdev."""
        ...

    def argv(self, *command: str) -> list[str]:
        """The command line that runs this command where the guest can be reached."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Forwarded:
    """A Network without root: the guest's public ports and its sshd are ports of 127.0.0.1.

    So are the public ports at `others`, which are further addresses of the guest.
    """

    kind = "forwarded"
    sources = ()

    def __init__(self, site: Site, others: Iterable[str] = ()) -> None:
        self.guest = site.host.wan_address
        self.known_as = str(self.guest)
        network = IPv4Network(f"{self.guest}/24", strict=False)
        taken = {self.guest, *map(IPv4Address, others)}
        free = [each for each in network.hosts() if each not in taken]
        # slirp's own name server, away from the addresses that people give to their servers
        self.gateway, self.dns = free[0], free[-1]
        self._network = network
        ports = {
            (each.port, each.proto)
            for service in site.services.values()
            for each in service.ports
            if each.public
        }
        if site.egress.probe_port:
            ports.add((site.egress.probe_port, "tcp"))
        self._inside = {(str(at), port, proto) for at in taken for port, proto in ports}
        self._inside.add((str(self.guest), SSH, "tcp"))
        self.doors: Doors = MappingProxyType({})

    def __enter__(self) -> Self:
        self.doors = _free_ports(self._inside)
        return self

    def __exit__(self, *exc: object) -> None: ...

    @property
    def ssh(self) -> tuple[str, int]:
        return self.door(SSH)

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        return self.doors[str(self.guest), port, proto]

    def netdev(self) -> str:
        parts = [
            f"user,id={ID},ipv6=off",
            f"net={self._network},host={self.gateway},dns={self.dns},dhcpstart={self.guest}",
        ]
        for (guest, inside, proto), (address, port) in self.doors.items():
            parts.append(f"hostfwd={proto}:{address}:{port}-{guest}:{inside}")
        return ",".join(parts)

    def argv(self, *command: str) -> list[str]:
        return list(command)


def _free_ports(inside: Iterable[tuple[str, int, str]]) -> Doors:
    """A free local port for each port of the guest, with the same number for TCP and UDP, since
    clients of a name server use both. All stay bound until each has one.
    """
    wanted = sorted(inside)
    found: dict[tuple[str, int, str], tuple[str, int]] = {}
    with ExitStack() as held:
        for end in dict.fromkeys((address, port) for address, port, _ in wanted):
            number = _free(held)
            found |= {(*end, proto): (LOCAL, number) for *at, proto in wanted if (*at,) == end}
    return MappingProxyType(found)


def _free(held: ExitStack) -> int:
    """A port that is free over both TCP and UDP."""
    for _ in range(_TRIES):
        tcp = held.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)))
        udp = held.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        tcp.bind((LOCAL, 0))
        with suppress(OSError):
            udp.bind((LOCAL, int(tcp.getsockname()[1])))
            return int(tcp.getsockname()[1])
    raise Refused(f"no port of {LOCAL} is free over both TCP and UDP")
