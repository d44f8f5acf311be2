"""Probes: each asks a service the way its clients do. A new kind is one class and its line in
KINDS.

Every probe makes a new connection, as a new visitor does: a service that only serves the old
connections is down. Libraries speak the protocols. Their exceptions are not listed here: any
exception means that the service gave no answer.
"""

from __future__ import annotations

import http.client
import imaplib
import json
import poplib
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from threading import Lock
from typing import Protocol

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pymysql
from pydantic import BaseModel, ConfigDict, Field, model_validator

from rollout.probe import tls


class Watch(BaseModel):
    """A port of a service and how to ask it. `timeout` in seconds, `rate` in probes per second."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    kind: str
    address: IPv4Address | IPv6Address
    port: int = Field(ge=1, le=65535)
    behind: int | None = None  # the port of the host that this one is forwarded to
    timeout: float = Field(default=1.0, gt=0)
    rate: float = Field(default=20.0, gt=0)
    host: str | None = None  # http: the Host header, by default the address; TLS: SNI
    path: str = "/"  # http, https
    status_below: int = 500  # http, https: a 404 is an answer of a working server, a 503 is not
    has_certificate: bool = False  # the port speaks TLS
    query: str | None = None  # dns, dns-tcp: the name, a zone that this server serves
    type: str = "SOA"  # dns, dns-tcp
    user: str | None = None  # mysql: without one, "access denied" for `cellblock` is the answer
    password: str = Field(default="", repr=False)  # mysql
    control: Path | None = None  # standin: its control socket
    proto: str = Field(default="tcp", pattern="^(tcp|udp)$")  # standin
    source: str = Field(default="outside", pattern="^(outside|host)$")  # standin

    @model_validator(mode="after")
    def _knows_its_kind(self) -> Watch:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is unknown; expected one of {', '.join(KINDS)}")
        if self.kind.startswith("dns") and self.query is None:
            raise ValueError(f"kind {self.kind} needs `query`, the name of a zone")
        if self.kind == "standin" and self.control is None:
            raise ValueError("kind standin needs `control`, the path of its socket")
        return self


@dataclass(frozen=True)
class Answer:
    """What a probe knows once a service has answered."""

    connection: socket.socket | None = None  # still open, so that its owner can be found
    who: str | None = None  # if the answer itself names the owner
    certificate: bytes | None = None  # the one that the service presented, in DER


class Probe(Protocol):
    def answered(self, deadline: float) -> AbstractContextManager[Answer]:
        """The context is entered when the service has answered, and left when the protocol's own
        end (QUIT, for example) is done.

        `deadline` is a time of time.monotonic(). An exception on entering or leaving means "no
        answer".
        """


def left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds


def connect(watch: Watch, deadline: float) -> socket.socket:
    return socket.create_connection((str(watch.address), watch.port), timeout=left(deadline))


def encrypted(connection: socket.socket, watch: Watch) -> ssl.SSLSocket:
    return tls.context(watch.host).wrap_socket(connection)


def answer(connection: socket.socket | None, spoken: socket.socket | None = None) -> Answer:
    """`spoken` is the socket that the protocol uses, if that is not the connection itself."""
    speaks = spoken or connection
    certificate = speaks.getpeercert(True) if isinstance(speaks, ssl.SSLSocket) else None
    return Answer(connection, certificate=certificate)


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


@dataclass(frozen=True)
class Dns:
    """A question over UDP. dnspython ignores answers that come from another address.

    Recursion is not requested: a named that has its socket, but has not loaded its zones, must not
    answer from elsewhere. There is no connection, so there is no owner: when host and jail are both
    bound to port 53, one datagram does not show which of them answered. Watch the same port with
    dns-tcp to see the owner.
    """

    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        address = str(self.watch.address)
        must_have_zone(
            dns.query.udp(question(self.watch), address, left(deadline), self.watch.port)
        )
        yield Answer()


@dataclass(frozen=True)
class DnsTcp:
    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with connect(self.watch, deadline) as connection:
            connection.setblocking(False)  # dnspython requires this of a socket that it is given
            address = str(self.watch.address)
            must_have_zone(
                dns.query.tcp(question(self.watch), address, left(deadline), sock=connection)
            )
            yield Answer(connection)


def question(watch: Watch) -> dns.message.QueryMessage:
    return dns.message.make_query(watch.query or "", watch.type, flags=0)


def must_have_zone(reply: dns.message.Message) -> None:
    if reply.rcode() != dns.rcode.NOERROR:
        raise LookupError(dns.rcode.to_text(reply.rcode()))
    soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority)
    if not reply.answer and not soa:
        raise LookupError("NOERROR, but neither an answer nor an SOA: the zone is not loaded")


@dataclass(frozen=True)
class Smtp:
    """The banner (220, nothing else), then QUIT."""

    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with self._client(deadline) as client:
            yield answer(client.sock)

    def _client(self, deadline: float) -> smtplib.SMTP:
        return smtplib.SMTP(
            str(self.watch.address),
            self.watch.port,
            local_hostname=HELO,
            timeout=left(deadline),
        )


HELO = "cellblock"  # else smtplib looks up our name, perhaps at the name server that moves


class Smtps(Smtp):
    """The same over TLS."""

    def _client(self, deadline: float) -> smtplib.SMTP:
        return smtplib.SMTP_SSL(
            str(self.watch.address),
            self.watch.port,
            local_hostname=HELO,
            timeout=left(deadline),
            context=tls.context(self.watch.host),
        )


class SmtpStarttls(Smtp):
    """The same, then EHLO and STARTTLS, as on a submission port."""

    def _client(self, deadline: float) -> smtplib.SMTP:
        client = super()._client(deadline)
        with closed_on_failure(client.close):
            client.starttls(context=tls.context(self.watch.host))
        return client


@contextmanager
def closed_on_failure(close: Callable[[], None]) -> Iterator[None]:
    """Close a client whose STARTTLS failed. A regular logout would raise, and hide the cause."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the failed handshake may have closed its socket
            close()
        raise


@dataclass(frozen=True)
class Imap:
    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with self._client(deadline) as client:
            yield answer(client.sock)

    def _client(self, deadline: float) -> imaplib.IMAP4:
        return imaplib.IMAP4(str(self.watch.address), self.watch.port, timeout=left(deadline))


class Imaps(Imap):
    def _client(self, deadline: float) -> imaplib.IMAP4:
        return imaplib.IMAP4_SSL(
            str(self.watch.address),
            self.watch.port,
            ssl_context=tls.context(self.watch.host),
            timeout=left(deadline),
        )


class ImapStarttls(Imap):
    def _client(self, deadline: float) -> imaplib.IMAP4:
        client = super()._client(deadline)
        with closed_on_failure(client.shutdown):
            client.starttls(ssl_context=tls.context(self.watch.host))
        return client


@dataclass(frozen=True)
class Pop3:
    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with closing(self._client(deadline)) as client:
            yield answer(client.sock)
            client.quit()

    def _client(self, deadline: float) -> poplib.POP3:
        return poplib.POP3(str(self.watch.address), self.watch.port, timeout=left(deadline))


class Pop3s(Pop3):
    def _client(self, deadline: float) -> poplib.POP3:
        return poplib.POP3_SSL(
            str(self.watch.address),
            self.watch.port,
            context=tls.context(self.watch.host),
            timeout=left(deadline),
        )


class Pop3Starttls(Pop3):
    def _client(self, deadline: float) -> poplib.POP3:
        client = super()._client(deadline)
        with closed_on_failure(client.close):
            client.stls(context=tls.context(self.watch.host))
        return client


class Standin:
    """Asks the stand-in, which has no network, who would answer a client. It keeps one connection
    to the control socket.
    """

    def __init__(self, watch: Watch) -> None:
        self._control = str(watch.control)
        self._has_certificate = watch.has_certificate
        self._client = {
            "address": str(watch.address),
            "port": watch.port,
            "proto": watch.proto,
            "source": watch.source,
        }
        self._turn = Lock()
        self._connection: socket.socket | None = None

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        if not self._turn.acquire(timeout=left(deadline)):
            raise TimeoutError("timed out")
        pem = None
        try:
            reply = self._ask("who_answers", deadline)
            if self._has_certificate and reply.get("answer") is not None:
                pem = self._ask("certificate", deadline).get("answer")
        except BaseException:
            # a late answer would be taken for the answer to the next question
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            raise
        finally:
            self._turn.release()
        if reply.get("answer") is None:
            raise LookupError(str(reply.get("error", "no answer")))
        certificate = ssl.PEM_cert_to_DER_cert(str(pem)) if pem else None
        yield Answer(who=str(reply["answer"]), certificate=certificate)

    def _ask(self, question: str, deadline: float) -> dict[str, object]:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(left(deadline))
            self._connection.connect(self._control)
        self._connection.settimeout(left(deadline))
        text = json.dumps({"ask": question, **self._client})
        self._connection.sendall(text.encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            self._connection.settimeout(left(deadline))
            part = self._connection.recv(4096)
            if not part:
                raise ConnectionError("the stand-in closed its control socket")
            line += part
        reply: dict[str, object] = json.loads(line)
        return reply


KINDS: dict[str, Callable[[Watch], Probe]] = {
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
