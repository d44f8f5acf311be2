"""[policy] and [egress] of the site file: who may talk to whom, and how a jail gets out."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from rollout.site import Site

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
    """[policy]: what is not allowed here is denied: between jails, and from jails outwards."""

    allow: tuple[Allow, ...] = ()


class Egress(_Table):
    """[egress]: by what the way out is tried. Without them only rules and flags are looked at."""

    peer: Annotated[str, AfterValidator(_peer)] | None = None
    probe_port: Annotated[int, Field(ge=1, le=65535)] | None = None


def contradictions(site: Site) -> Iterator[str]:
    """What is wrong with policy and egress, a line each, naming the key."""
    yield from _outbound(site)
    for n, allow in enumerate(site.policy.allow):
        for problem in _allow(site, allow):
            yield f"policy.allow.{n}: {problem}"
    port = site.egress.probe_port
    if port == site.host.port or (port, "tcp") in _served(site):
        yield f"egress.probe_port = {port}: is in use; expected a TCP port that nobody serves"


def _outbound(site: Site) -> Iterator[str]:
    seen: dict[IPv4Address, str] = {}
    for name, jail in site.jails.items():
        if name in (HOST, INTERNET):
            yield f"jails.{name}: {name!r} has another meaning in [policy]; expected another name"
        key = f"jails.{name}.public_addresses"
        if (jail.outbound == "public") != bool(jail.public_addresses):
            yield f'{key}: needed with outbound = "public", and with no other'
        for address in jail.public_addresses:
            if address == site.host.wan_address or address in site.lan.network:
                yield f"{key}: {address}: expected a public address of its own, not the host's"
            if seen.setdefault(address, name) != name:
                yield f"{key}: {address}: jails.{seen[address]} has it already"


def _served(site: Site) -> dict[tuple[int, str], str]:
    """Port and protocol -> the jail that they belong to."""
    return {
        (listen.port, listen.proto): name
        for name, jail in site.jails.items()
        for service in jail.services
        if service in site.services
        for listen in site.services[service].ports
    }


def _allow(site: Site, allow: Allow) -> Iterator[str]:
    jails = ", ".join(site.jails)
    if allow.source in (HOST, INTERNET):
        yield (
            f"from = {allow.source!r}: expected a jail ({jails}); the host reaches every jail, the "
            "internet every port that says public"
        )
    elif allow.source not in site.jails:
        yield f"from = {allow.source!r}: no such jail; expected one of {jails}"
    elif allow.to == INTERNET and site.jails[allow.source].outbound == "none":
        yield f'to = "internet": jails.{allow.source}.outbound is "none": there is no way out'
    if allow.to not in (HOST, INTERNET, *site.jails):
        yield f"to = {allow.to!r}: no such jail; expected one of {jails}, host, internet"
    elif allow.to == allow.source:
        yield f"to = {allow.to!r}: a jail always reaches itself"
    elif allow.to != INTERNET:
        yield from _unserved(site, allow)


def _unserved(site: Site, allow: Allow) -> Iterator[str]:
    served = _served(site)
    for word in allow.ports:
        number, _, proto = word.partition("/")
        owner = served.get((int(number), proto)) if word != "any" else None
        if word == "any":
            yield 'ports: "any" is for the internet; expected the ports one by one'
        elif allow.to == HOST and owner:
            yield f'ports: {word} is served by jail {owner}; expected to = "{owner}"'
        elif allow.to not in (HOST, owner):
            ours = [f"{port}/{proto}" for (port, proto), jail in served.items() if jail == allow.to]
            yield f"ports: nobody serves {word} in jail {allow.to}; expected {', '.join(ours)}"


__all__ = ["HOST", "INTERNET", "Allow", "Egress", "Policy", "contradictions"]
