"""[policy] and [egress] of the site file: which connections are allowed, and how jails get out."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

HOST = "host"
INTERNET = "internet"
Proto = Literal["tcp", "udp"]
PROTOS: tuple[Proto, ...] = ("tcp", "udp")


def _port(word: str) -> str:
    number, mark, proto = word.partition("/")
    fits = number.isdecimal() and mark and proto in ("tcp", "udp") and 1 <= int(number) <= 65535
    if word != "any" and not fits:
        raise ValueError('expected a port and its protocol, as "3306/tcp", or "any"')
    return word


def _peer(word: str) -> str:
    address, mark, port = word.partition(":")
    try:
        fits = bool(mark) and IPv4Address(address) and 1 <= int(port) <= 65535
    except (AddressValueError, ValueError):
        fits = False
    if word != "operator" and not fits:
        raise ValueError('expected "operator", or an IPv4 address and a TCP port, as "192.0.2.9:9"')
    return word


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Allow(_Table):
    """One line of policy: the jail `from` may open these ports of `to`."""

    source: str = Field(alias="from")
    to: str
    ports: Annotated[tuple[Annotated[str, AfterValidator(_port)], ...], Field(min_length=1)]

    @property
    def everything(self) -> bool:
        return "any" in self.ports

    def numbers(self, proto: Proto) -> tuple[int, ...]:
        """Its ports of one protocol, in order."""
        split = (word.partition("/") for word in self.ports if word != "any")
        return tuple(sorted({int(number) for number, _, each in split if each == proto}))


class Policy(_Table):
    """[policy]: connections between jails and from jails outwards; what is not here is denied."""

    allow: tuple[Allow, ...] = ()

    def lets(self, source: str, to: str, port: int, proto: Proto) -> bool:
        """Whether one of its lines allows this connection."""
        return any(
            (allow.source, allow.to) == (source, to)
            and (allow.everything or port in allow.numbers(proto))
            for allow in self.allow
        )


def allowing(source: str, to: str, *ports: str) -> str:
    """The entry of `allow` that lets a jail connect there, at ports as PORT/PROTO."""
    named = ", ".join(f'"{each}"' for each in ports)
    return f'{{ from = "{source}", to = "{to}", ports = [{named}] }}'


class Egress(_Table):
    """[egress]: how the way out is tested. Without these keys only rules and flags are checked."""

    peer: Annotated[str, AfterValidator(_peer)] | None = None
    probe_port: Annotated[int, Field(ge=1, le=65535)] | None = None
