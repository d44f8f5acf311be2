"""Addresses, routes and sockets of a host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network
from shlex import quote
from typing import Literal, NamedTuple

from pyinfra.api.facts import FactBase

from operations.command import ANY, Look
from operations.facts.jails import JAIL_CONF


class Interfaces(FactBase[dict[str, tuple[str, ...]]]):
    """Interface -> its IPv4 and IPv6 addresses, without prefix lengths.

    Not all that ifconfig prints: its flags change when somebody starts a tcpdump.
    """

    default = dict

    def command(self) -> str:
        return (
            "ifconfig -a | awk '/^[^[:space:]]/ {print $1} $1 ~ /^inet6?$/ {print \"\\t\" $1, $2}'"
        )

    def process(self, output: list[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        name = ""
        for line in output:
            if line[:1].strip():
                name = line.split(":")[0]
                found[name] = ()
            elif line.split()[:1] in (["inet"], ["inet6"]):
                found[name] += (line.split()[1].split("/")[0].split("%")[0],)
        return found


class Networks(FactBase[tuple[IPv4Interface, ...] | None]):
    """The host's IPv4 addresses with their networks, as its interfaces have them.

    None for a plan without a host, as with RcConf.
    """

    @staticmethod
    def default() -> tuple[IPv4Interface, ...] | None:
        return None

    def command(self) -> str:
        return "ifconfig -a | awk '$1 == \"inet\" {print}'"

    def process(self, output: list[str]) -> tuple[IPv4Interface, ...]:
        pattern = re.compile(r"\s*inet (\S+) .*?netmask 0x([0-9a-f]{8})\b.*")
        matches = (pattern.fullmatch(line) for line in output)
        return tuple(
            IPv4Interface(f"{m[1]}/{IPv4Address(int(m[2], 16))}") for m in matches if m is not None
        )


class OwnAddresses(FactBase[tuple[IPv4Interface, ...] | None]):
    """The same; a plan without a host is for one whose only address is `wan`, and 127.0.0.1."""

    default = Networks.default

    @staticmethod
    def assumed(wan: str) -> Look:
        other = '/^[^ \t]/ {card = $1} $1 == "inet" && card !~ /^lo/ {print $2}'
        claim = f"{wan} is the only IPv4 address of the host's network cards"
        return Look(f"ifconfig -a | awk {quote(other)}", wan, claim=claim)

    def command(self, wan: str) -> str:
        return Networks().command()

    def process(self, output: list[str]) -> tuple[IPv4Interface, ...]:
        return Networks().process(output)


class Routes(FactBase[tuple[tuple[IPv4Network, str], ...]]):
    """The routes but the default one: a network, which may be of one address, and its interface."""

    default = tuple

    def command(self) -> str:
        return "netstat -rn -f inet | awk '$1 ~ /^[0-9.]+(\\/[0-9]+)?$/ {print $1, $4}'"

    def process(self, output: list[str]) -> tuple[tuple[IPv4Network, str], ...]:
        rows = (re.fullmatch(r"([0-9.]+(?:/\d+)?) (\S+)", line) for line in output)
        return tuple((IPv4Network(row[1], strict=False), row[2]) for row in rows if row)


def way(address: str, routes: Iterable[tuple[IPv4Network, str]]) -> str:
    """The interface that leads to an address; "" for the default route, and for a name."""
    try:
        there = IPv4Address(address)
    except ValueError:
        return ""
    return max(((net.prefixlen, card) for net, card in routes if there in net), default=(0, ""))[1]


class FoundNames(FactBase[dict[str, str]]):
    """The IPv4 address of each of these names that the host can look up."""

    default = dict

    def command(self, names: Sequence[str]) -> str:
        # Of resolvers that do not answer, getent(1) asks for a minute and more (a 15.0).
        words, ask = " ".join(map(quote, names)), 'timeout -k 1 10 getent hosts "$each"'
        return f'for each in {words}; do {ask} | sed "s/^/$each /"; done; :'

    def process(self, output: list[str]) -> dict[str, str]:
        rows = [row for row in map(str.split, output) if len(row) > 1 and "." in row[1]]
        return {row[0]: row[1] for row in reversed(rows)}


class Bound(NamedTuple):
    """A listening socket of the host; `address` is "*" for all."""

    proto: Literal["tcp", "udp"]
    command: str
    address: str
    port: int


class Listeners(FactBase[tuple[Bound, ...]]):
    """The IPv4 sockets at which programs of the host listen on some ports."""

    default = tuple

    def command(self, ports: Sequence[int]) -> str:
        wanted = ",".join(map(str, ports)) or "0"
        return (
            f"sockstat -46lq -j 0 -p {wanted} 2>/dev/null | "
            "awk '{print $2, $(NF - 2), $(NF - 1)}' | sort -u"
        )

    def process(self, output: list[str]) -> tuple[Bound, ...]:
        """Protocols are tcp4, tcp46, udp4 ...; those that are 6 alone are left out."""
        found = []
        for line in output:
            command, proto, end = (*line.split(), "", "", "")[:3]
            address, _, port = end.rpartition(":")
            if "4" in proto and port.isdigit():
                kind: Literal["tcp", "udp"] = "tcp" if proto.startswith("tcp") else "udp"
                found.append(Bound(kind, command, address, int(port)))
        return tuple(found)


class JailListeners(FactBase[tuple[Bound, ...]]):
    """The IPv4 sockets at which daemons in jails listen on some ports, at each address of the jail
    if at all of them: the host's daemons are not reached there.
    """

    default = tuple

    def command(self, ports: Sequence[int]) -> str:
        wanted = ",".join(map(str, ports)) or "0"
        sockets = f'sockstat -46lq -j "$jail" -p {wanted} 2>/dev/null'
        return (
            "jls name ip4.addr | while read -r jail ends; do "
            f"{sockets} | awk -v ends=\"$ends\" '{{print $2, $(NF - 2), $(NF - 1), ends}}'; done"
        )

    def process(self, output: list[str]) -> tuple[Bound, ...]:
        found = []
        for line in output:
            listener, _, ends = line.rpartition(" ")
            for bound in Listeners().process([listener]):
                at = ends.split(",") if bound.address == "*" else [bound.address]
                found += [bound._replace(address=each) for each in at]
        return tuple(dict.fromkeys(found))


class UsedAddresses(FactBase[tuple[IPv4Address, ...]]):
    """The IPv4 addresses that interfaces and running jails have, and that rc.conf and jail.conf(5)
    name: somebody has them now, or with the next start.
    """

    default = tuple

    def command(self) -> str:
        jails = "/etc/jail.*.conf /etc/jail.conf.d/*.conf"
        files = f"cat /etc/rc.conf /etc/rc.conf.local {jails} $({JAIL_CONF}) 2>/dev/null"
        return (
            f"{{ ifconfig -a | awk '$1 == \"inet\" {{print $2}}'; jls ip4.addr; {files}; }} "
            "| grep -Eo '[0-9]+([.][0-9]+){3}' | sort -u"
        )

    def process(self, output: list[str]) -> tuple[IPv4Address, ...]:
        found = []
        for line in output:
            with suppress(AddressValueError):
                found.append(IPv4Address(line.strip()))
        return tuple(found)


class Capabilities(FactBase[tuple[str, ...] | None]):
    """The enabled options of an interface (RXCSUM, TSO4, LRO, ...); None if it does not exist."""

    @staticmethod
    def default() -> tuple[str, ...] | None:
        return ("TSO4", "TSO6", "LRO", "VLAN_HWTSO")  # a plan without a host is for a usual card

    @staticmethod
    def assumed(interface: str) -> Look:
        on = f" {ANY} ".join(Capabilities.default() or ())
        claim = f"{interface} offloads work to its card"
        return Look(
            f"ifconfig {quote(interface)} | grep options=", f"{ANY} {on} {ANY}", claim=claim
        )

    def command(self, interface: str) -> str:
        return (
            f"ifconfig {quote(interface)} 2>/dev/null "
            "| awk 'NR == 1 {print \"there\"} $1 ~ /^options=/ {print $1}' || true"
        )

    def process(self, output: list[str]) -> tuple[str, ...] | None:
        if not output:
            return None
        return tuple(re.findall(r"[A-Z0-9_]+", "".join(output[1:]).partition("<")[2]))
