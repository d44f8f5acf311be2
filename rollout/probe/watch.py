"""A port that is watched, and what each probe of it has in common."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rollout.probe import tls

Kind = Literal[
    "tcp", "http", "https", "mysql", "dns", "dns-tcp",
    "smtp", "smtps", "smtp-starttls", "imap", "imaps", "imap-starttls",
    "pop3", "pop3s", "pop3-starttls", "standin",
]  # fmt: skip
"""How a port is asked; rollout/probe/protocols/ has a class for each."""


class Watch(BaseModel):
    """A port of a service and how to ask it. `timeout` in seconds, `rate` in probes per second."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    kind: Kind
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
    def _has_what_its_kind_needs(self) -> Watch:
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
