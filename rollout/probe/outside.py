"""Asks the services as their users do, and the host who answered."""

from __future__ import annotations

import time
from contextlib import closing
from socket import create_connection
from types import MappingProxyType

from rollout.host.session import Ssh
from rollout.probe import udp
from rollout.probe.certificates import Certificates
from rollout.probe.socket_owner import SocketOwner
from rollout.probe.transfer import TcpSink, Transfer, read
from rollout.probe.watches import Doors


class FromOutside:
    """Asks a public port as a client would, and asks the host who answered."""

    def __init__(self, target: Ssh, doors: Doors = MappingProxyType({})) -> None:
        self.certificates = Certificates()
        self._target = target
        self._doors = doors
        self._socket_owner = SocketOwner(target.sh(), limit=15)

    def who(self, address: str, port: int, proto: str) -> str | None:
        door = self._doors.get((address, port, proto), (address, port))
        if proto == "udp":
            return udp.who(self._target, address, port, door)
        deadline = time.monotonic() + 30
        while True:
            with closing(create_connection(door, timeout=5)) as connection:
                who = self._socket_owner.who(connection, port)
            if who is not None or time.monotonic() > deadline:
                return who

    def sink(self) -> TcpSink:
        return TcpSink()

    def read(self, address: str, port: int, limit: float) -> Transfer:
        return read(*self._doors.get((address, port, "tcp"), (address, port)), limit)

    def close(self) -> None:
        self._socket_owner.close()
