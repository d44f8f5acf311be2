"""How a guest is reached from this machine without being root: ports of ours, forwarded by qemu.

The guest has the site's public address on a network that exists in its qemu only (slirp). With the
door out shut, nothing that it sends leaves that network: a rehearsal on an image of a real server
delivers no mail and answers no secondary. What it may reach is one port, where an upload of its own
comes to us.
"""

from __future__ import annotations

import shlex
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, Self

from rollout.errors import Refused
from rollout.site import Site
from rollout.transfer import Transfer, drain
from rollout.watch import Doors

LOCAL = "127.0.0.1"
TAKES = 8990  # the port at which the guest finds us
SSH = 22
_TRIES = 20
ID = "wire"  # of the netdev, in qemu


class Network(Protocol):
    """What lies between this machine and a guest."""

    @property
    def kind(self) -> str:
        """A snapshot fits one kind of network."""
        ...

    @property
    def ssh(self) -> tuple[str, int]:
        """Where the guest's sshd is found."""
        ...

    @property
    def known_as(self) -> str:
        """The guest in a known_hosts that was made for its own address."""
        ...

    @property
    def sources(self) -> Sequence[str]:
        """Addresses of clients, where there are several."""
        ...

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        """Where a public port of the guest's is found."""
        ...

    def netdev(self, *, isolated: bool) -> str:
        """qemu's -netdev."""
        ...

    def argv(self, *command: str) -> list[str]:
        """That command as it must be started to have the guest in reach."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Forwarded:
    """A Network for anybody: the guest's public ports and its sshd are ports of 127.0.0.1."""

    kind = "forwarded"
    sources = ()

    def __init__(self, site: Site) -> None:
        self.guest = site.host.wan_address
        self.known_as = str(self.guest)
        network = IPv4Network(f"{self.guest}/24", strict=False)
        free = (each for each in network.hosts() if each != self.guest)
        self.gateway, self.dns, self.operator = next(free), next(free), next(free)
        self._network = network
        self._inside = {(SSH, "tcp")}
        for service in site.services.values():
            self._inside |= {(each.port, each.proto) for each in service.ports if each.public}
        if site.egress.probe_port:
            self._inside.add((site.egress.probe_port, "tcp"))
        self.doors: Doors = MappingProxyType({})
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        self.doors = _free_ports(self._inside)
        self.takes = self._undo.enter_context(Takes(self.operator))
        return self

    def __exit__(self, *exc: object) -> None:
        self._undo.close()

    @property
    def ssh(self) -> tuple[str, int]:
        return self.doors[SSH, "tcp"]

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        return self.doors[port, proto]

    def netdev(self, *, isolated: bool) -> str:
        relay = shlex.join(
            [sys.executable, "-I", str(Path(__file__).with_name("relay.py")), str(self.takes.local)]
        )
        parts = [
            f"user,id={ID}",
            f"net={self._network},host={self.gateway},dns={self.dns},dhcpstart={self.guest}",
            "ipv6=off",
            f"restrict={'on' if isolated else 'off'}",
            f"guestfwd=tcp:{self.operator}:{TAKES}-cmd:{relay.replace(',', ',,')}",
        ]
        for (inside, proto), (address, port) in self.doors.items():
            parts.append(f"hostfwd={proto}:{address}:{port}-{self.guest}:{inside}")
        return ",".join(parts)

    def argv(self, *command: str) -> list[str]:
        return list(command)


def _free_ports(inside: Iterable[tuple[int, str]]) -> Doors:
    """A port of ours for each port of the guest's, the same number for TCP and UDP: clients of a
    name server use both. All are held until each has one.
    """
    wanted = sorted(inside)
    found: dict[tuple[int, str], tuple[str, int]] = {}
    with ExitStack() as held:
        for port in dict(wanted):
            number = _free(held)
            found |= {(port, proto): (LOCAL, number) for each, proto in wanted if each == port}
    return MappingProxyType(found)


def _free(held: ExitStack) -> int:
    """A port that nobody has, over TCP or over UDP."""
    for _ in range(_TRIES):
        tcp = held.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)))
        udp = held.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        tcp.bind((LOCAL, 0))
        with suppress(OSError):
            udp.bind((LOCAL, int(tcp.getsockname()[1])))
            return int(tcp.getsockname()[1])
    raise Refused(f"no port of {LOCAL} is free over TCP and UDP both")


class Takes:
    """A rollout.transfer.Sink that stays: each connection of the guest's to it is brought here by
    box/relay.py.
    """

    port = TAKES

    def __init__(self, address: IPv4Address) -> None:
        self.address = str(address)
        self._socket = socket.create_server((LOCAL, 0), backlog=128)

    @property
    def local(self) -> int:
        return int(self._socket.getsockname()[1])

    def received(self, limit: float) -> Transfer | None:
        """What the next connection sends that sends anything: others only saw that they may."""
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                return None
            with connection:
                got = drain(connection, deadline)
            if got.bytes:
                return got
        return None

    def sink(self) -> Sinking:
        return Sinking(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()


class Sinking:
    """One check's use of it, that leaves it open for the next."""

    def __init__(self, takes: Takes) -> None:
        self.address = takes.address
        self.port = takes.port
        self.received = takes.received

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...
