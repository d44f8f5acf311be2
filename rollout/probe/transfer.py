"""Transfers between the host and the operator's machine: do bytes arrive, and how fast?"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Protocol, Self

_BLOCK = 256 * 1024


@dataclass(frozen=True)
class Transfer:
    """The bytes received, and the time from the first to the last of them."""

    bytes: int
    seconds: float

    def __str__(self) -> str:
        rate = self.bytes / self.seconds / 2**20 if self.seconds else 0.0
        return f"{self.bytes} bytes in {self.seconds:.1f} s ({rate:.1f} MiB/s)"


class Sink(Protocol):
    """A TCP port of the operator's machine that accepts data, one connection at a time.

    An empty `address` means the address from which the operator's ssh reaches the host.
    """

    @property
    def address(self) -> str: ...

    @property
    def port(self) -> int: ...

    def received(self, limit: float) -> Transfer | None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class TcpSink:
    """A Sink on this machine."""

    address = ""

    def __init__(self) -> None:
        self._socket = socket.create_server(("0.0.0.0", 0), backlog=64)  # noqa: S104 # from anywhere

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def received(self, limit: float) -> Transfer | None:
        """The data of the next connection; None when there is no connection within `limit` s."""
        deadline = time.monotonic() + limit
        self._socket.settimeout(limit)
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return None
        with connection:
            return drain(connection, deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()


def drain(connection: socket.socket, deadline: float) -> Transfer:
    """Read until the other side closes, or until the deadline (of time.monotonic)."""
    began = ended = time.monotonic()
    count = 0
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            block = connection.recv(_BLOCK)
        except OSError:
            break
        if not block:
            break
        count += len(block)
        ended = time.monotonic()
    return Transfer(count, ended - began)


def read(address: str, port: int, limit: float) -> Transfer:
    """Connect until a server sends something, and read it to the end.

    A forwarded port accepts every connection, and closes it when nothing listens behind it.
    """
    deadline = time.monotonic() + limit
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((address, port), timeout=left) as connection:
                got = drain(connection, deadline)
                if got.bytes:
                    return got
        except OSError:
            pass  # not yet
        time.sleep(0.2)
    return Transfer(0, limit)
