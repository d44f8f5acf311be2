"""Probes: each asks a service the way its clients do. A new kind is one class and its line in
KINDS.

Every probe makes a new connection, as a new visitor does: a service that only serves the old
connections is down. Libraries speak the protocols. Their exceptions are not listed here: any
exception means that the service gave no answer.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pymysql

from rollout.probe.protocols.dns import Dns, DnsTcp
from rollout.probe.protocols.mail import (
    Imap,
    Imaps,
    ImapStarttls,
    Pop3,
    Pop3s,
    Pop3Starttls,
    Smtp,
    Smtps,
    SmtpStarttls,
)
from rollout.probe.protocols.standin import Standin
from rollout.probe.watch import Answer, Kind, Probe, Watch, answer, connect, encrypted, left


@dataclass(frozen=True)
class Tcp:
    """Connects, no more. For a daemon that hangs, the kernel still accepts connections, so prefer a
    kind that speaks the protocol.
    """

    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with connect(self.watch, deadline) as connection:
            yield Answer(connection)


@dataclass(frozen=True)
class Http:
    """One GET per connection, with its whole body. It requests keep-alive only so that the server
    keeps the connection while its owner is looked up. (Without keep-alive, Apache lingers for two
    seconds, which is also enough.)
    """

    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        address = str(self.watch.address)
        with (
            connect(self.watch, deadline) as connection,
            closing(http.client.HTTPConnection(address)) as client,
        ):
            spoken = connection.dup()  # the client closes this one if the server says close
            spoken.settimeout(left(deadline))
            client.sock = spoken = self._spoken(spoken)
            host = self.watch.host or (f"[{address}]" if ":" in address else address)
            headers = {"Host": host, "Connection": "keep-alive"}
            answered = answer(connection, spoken)  # before the request, which may close it
            client.request("GET", self.watch.path, headers=headers)
            with client.getresponse() as response:
                length, got = response.length, 0
                while got != length and (part := response.read1(65536)):
                    got += len(part)
                    left(deadline)  # a body that comes in slowly has the same deadline
                if length is not None and got < length:
                    raise http.client.IncompleteRead(b"", length - got)
                if response.status >= self.watch.status_below:
                    raise http.client.HTTPException(f"HTTP {response.status} {response.reason}")
                yield answered

    def _spoken(self, connection: socket.socket) -> socket.socket:
        return connection


class Https(Http):
    """The same over TLS."""

    def _spoken(self, connection: socket.socket) -> socket.socket:
        return encrypted(connection, self.watch)


@dataclass(frozen=True)
class MySql:
    """The greeting, then a login.

    The login is never left out: MySQL counts clients that leave after the greeting, and blocks
    their address after max_connect_errors of them. Without a configured user, "access denied"
    proves that the server works and has its grant tables. With one it is a failure: a cut-over may
    have changed the address that the server sees, and then real clients are denied, too. "Too many
    connections" and "host is blocked" are never an answer.
    """

    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with connect(self.watch, deadline) as connection:
            if not connection.recv(1, socket.MSG_PEEK):
                raise ConnectionError("closed before the greeting")
            yield Answer(connection)
            self._log_in(connection)

    def _log_in(self, connection: socket.socket) -> None:
        client = pymysql.Connection(
            host=str(self.watch.address),
            user=self.watch.user or "cellblock",
            password=self.watch.password,
            read_timeout=self.watch.timeout,  # the deadline may pass while held
            write_timeout=self.watch.timeout,
            defer_connect=True,
        )
        try:
            client.connect(connection)
        except pymysql.err.OperationalError as error:
            if self.watch.user is not None or error.args[0] not in DENIED:
                raise
        else:
            client.close()


# ER_ACCESS_DENIED_ERROR, and the code of MariaDB and MySQL when no password was sent
DENIED = (pymysql.constants.ER.ACCESS_DENIED_ERROR, 1698)


KINDS: dict[Kind, Callable[[Watch], Probe]] = {
    "tcp": Tcp,
    "http": Http,
    "https": Https,
    "mysql": MySql,
    "dns": Dns,
    "dns-tcp": DnsTcp,
    "smtp": Smtp,
    "smtps": Smtps,
    "smtp-starttls": SmtpStarttls,
    "imap": Imap,
    "imaps": Imaps,
    "imap-starttls": ImapStarttls,
    "pop3": Pop3,
    "pop3s": Pop3s,
    "pop3-starttls": Pop3Starttls,
    "standin": Standin,
}
