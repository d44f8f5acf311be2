"""Rules of ipfw that are the host's own: which packets one takes, as far as its text tells.

A rule is read as `ipfw list` prints it. A word that is not understood makes the rule unclear; it
never makes it match less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, ip_network
from typing import Literal

LETS = {"allow", "accept", "pass", "permit"}
DENIES = {"deny", "drop", "reject", "reset", "reset6", "unreach", "unreach6", "abort", "fwd"}
"""fwd, too: what another program gets does not reach the daemon that moves."""
SHAPES = {"pipe", "queue"}
PASSES_ON = {"count", "check-state", "setfib", "setdscp", "setmark", "tcp-setmss", "reass", "log"}
PASSES_ON |= {"divert", "tee", "ngtee", "netgraph"}  # the search goes on behind that rule
_WITH_ARGUMENT = {"fwd", "unreach", "unreach6", "nat", "skipto", "call", "divert", "tee", "pipe"}
_WITH_ARGUMENT |= {"queue", "netgraph", "ngtee", "setfib", "setdscp", "setmark", "tcp-setmss"}
_STATES = {"keep-state", "limit", "record-state", "set-limit"}
_NEVER = {"frag", "icmptypes", "icmp6types", "ip6", "me6"}


@dataclass(frozen=True)
class Way:
    """Packets of one kind. No addresses: those of other machines, of which nothing is known."""

    proto: Literal["tcp", "udp"]
    direction: Literal["in", "out"]
    port: int | None = None
    """The service's: of the target on the way in, of the source on the way out."""
    phase: Literal["setup", "established", ""] = ""
    sources: tuple[IPv4Address, ...] = ()
    targets: tuple[IPv4Address, ...] = ()
    over: str = ""
    """The loopback over which the host itself or a jail sends them."""

    def __str__(self) -> str:
        end = f"port {self.port}/{self.proto}" if self.port else self.proto
        who = "the host itself and its jails" if self.over else "other hosts"
        answers = self.direction == "out" and not self.over
        if answers:
            return f"answers from {end}" if self.port else f"connections of jails over {end}"
        return f"what {who} send to {end}"


@dataclass(frozen=True)
class Fit:
    """Which packets of a way a rule takes: all, or those of this source, target and interface."""

    source: str = ""
    target: str = ""
    options: tuple[str, ...] = ()
    unclear: str = ""

    @property
    def all(self) -> bool:
        return self == Fit()


@dataclass(frozen=True)
class HostRule:
    """A rule, its parts as words. `head` is the name of the states that it makes or looks up."""

    number: int
    body: str
    action: str
    argument: str
    proto: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    unclear: str = ""

    @property
    def keeps(self) -> str:
        """The name of the states that it makes, or ""."""
        found = [value for name, value in self.options if name in _STATES]
        return (re.findall(r":\S+", found[0]) or [":default"])[0] if found else ""

    @property
    def looks_up(self) -> str:
        """The name of the states for which ipfw looks when a packet comes to this rule, or ""."""
        if self.action == "check-state":
            return self.argument or ":default"
        return self.keeps

    @property
    def limits(self) -> bool:
        return any(name in ("limit", "set-limit") for name, _ in self.options)

    @property
    def asks_flags(self) -> bool:
        return any(name in ("setup", "established", "tcpflags") for name, _ in self.options)

    def __str__(self) -> str:
        return f"ipfw rule {self.number} ({self.body})"


def parsed(number: int, body: str) -> HostRule:
    words = body.partition(" //")[0].split()
    odd = ""
    if words[:1] == ["prob"]:
        words, odd = words[2:], "prob"
    action = words.pop(0) if words else ""
    argument = ""
    if action == "check-state":
        name = next((word for word in words if word.startswith(":")), "")
        return HostRule(number, body, action, name, "", (), (), ())
    if action in _WITH_ARGUMENT and words:
        argument = words.pop(0)
    while words[:1] and words[0] in ("log", "logamount", "altq", "tag", "untag"):
        words = words[2:] if words[0] != "log" else words[1:]
    text = " ".join(words)
    found = re.fullmatch(r"(\S+) from (.+?) to (.+)", text)
    if found is None or "{" in text:
        return HostRule(number, body, action, argument, "", (), (), (), odd or "its form")
    source, _ = _end(found[2].split())
    target, rest = _end(found[3].split())
    return HostRule(
        number, body, action, argument, found[1], source, target, tuple(_options(rest)), odd
    )


def _end(words: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Negation, address and ports of `from` or `to`, and what follows."""
    taken = 2 if words[0] == "not" else 1
    at = words[:taken]
    rest = words[taken:]
    ports: list[str] = []
    if rest and rest[0] == "not" and len(rest) > 1 and rest[1][0].isdigit():
        ports, rest = rest[:2], rest[2:]
    elif rest[:1] and rest[0] in ("dst-port", "src-port") and len(rest) > 1:
        ports, rest = rest[1:2], rest[2:]
    elif rest and rest[0][0].isdigit():
        ports, rest = rest[:1], rest[1:]
    return (" ".join(at), " ".join(ports)), rest


_ALONE = {"in", "out", "setup", "established", "frag", "layer2", "antispoof", "verrevpath"}
_ALONE |= {"versrcreach", "diverted", "diverted-loopback", "diverted-output", "defer-action"}


def _options(words: Sequence[str]) -> Iterable[tuple[str, str]]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        negated = ""
        if word == "not" and rest:
            negated, word = "not ", rest.pop(0)
        value: list[str] = []
        if word in ("keep-state", "record-state"):
            value = [rest.pop(0)] if rest and rest[0].startswith(":") else []
        elif word in ("limit", "set-limit"):
            while rest and not rest[0].isdigit():
                value.append(rest.pop(0))
            value += [rest.pop(0)] if rest else []
            value += [rest.pop(0)] if rest and rest[0].startswith(":") else []
        elif word not in _ALONE and rest:
            value = [rest.pop(0)]
        yield negated + word, " ".join(value)


def fit(rule: HostRule, way: Way) -> Fit | None:
    """Which packets of the way the rule takes; None for none."""
    if rule.unclear:
        return Fit(unclear=rule.unclear)
    if rule.proto not in ("ip", "ip4", "ipv4", "all", way.proto):
        return None
    source = _end_fit(rule.source, way.sources, way.port if way.direction == "out" else None)
    target = _end_fit(rule.target, way.targets, way.port if way.direction == "in" else None)
    if source is None or target is None:
        return None
    client, own = (target, way.sources) if way.sources else (source, way.targets)
    if not way.over and client.partition(" ")[0] in map(str, own):
        return None  # another machine has no address of the host
    found = Fit(source, target)
    for name, value in rule.options:
        one = _option_fit(name.removeprefix("not "), value, way)
        if name.startswith("not ") and not isinstance(one, str):
            one = not one
        if one is False:
            return None
        if isinstance(one, str):
            words = f"{name} {value}".strip()
            clear = one == "repeated"
            found = replace(
                found,
                options=(*found.options, words) if clear else found.options,
                unclear=found.unclear or ("" if clear else words),
            )
    return found


_SYN = {"syn", "syn,!ack", "syn,!ack,!rst", "syn,!rst,!ack"}


def _option_fit(name: str, value: str, way: Way) -> bool | str:
    """Whether all packets of the way have it, or none; for some "repeated", if a rule of ours can
    say it in the same words, or "unclear".
    """
    at = {"dst-port": "in", "src-port": "out"}.get(name)
    found: bool | str = "unclear"
    if name in ("via", "recv", "xmit"):
        found = _interface_fit(name, value, way)
    elif name in ("in", "out"):
        found = name == way.direction
    elif name in ("setup", "established"):
        found = name == way.phase
    elif name == "tcpflags" and way.phase == "setup" and value in _SYN:
        found = True
    elif at == way.direction and way.port is not None:
        found = _has_port(value, way.port)
    elif name in _NEVER:
        found = False
    elif name in _STATES:
        found = True
    elif name == "proto":
        found = value == way.proto
    elif name in ("uid", "gid") and way.direction == "out" and not way.over:
        found = "repeated"  # of the socket, which is found in a jail, too, before nat
    return found


def _interface_fit(name: str, value: str, way: Way) -> bool | str:
    if (name == "recv") == (way.direction == "out") and name != "via":
        return False  # what the host sends was never received; what comes in is not sent yet
    if value in ("any", "*"):
        return True
    if way.over or re.match(r"lo[\d*]", value):  # only the host itself sends over a loopback
        return bool(way.over) and fnmatchcase(way.over, value)
    return "repeated"


def _end_fit(
    end: tuple[str, ...], addresses: Sequence[IPv4Address], port: int | None
) -> str | None:
    """ "" if all packets fit, None if none does, or the words for those that do."""
    at, ports = end
    words = _address_fit(at, addresses)
    if words is None or not ports:
        return words
    if port is None:
        return f"{words or 'any'} {ports}"
    negated = ports.startswith("not ")
    return words if _has_port(ports.removeprefix("not "), port) != negated else None


def _address_fit(at: str, addresses: Sequence[IPv4Address]) -> str | None:
    negated = at.startswith("not ")
    word = at.removeprefix("not ")
    if not addresses and word in ("any", "me"):  # another machine is never "me"
        return "" if (word == "any") != negated else None
    if not addresses or word.startswith("table("):
        return at
    fitting = [each for each in addresses if _is_among(each, word) != negated]
    if not fitting:
        return None
    return "" if len(fitting) == len(addresses) else ",".join(map(str, fitting))


def _is_among(address: IPv4Address, words: str) -> bool:
    """Every address that a way names is one of the host's."""
    for word in words.split(","):
        if word in ("any", "me"):
            return True
        try:
            if address in ip_network(word, strict=False):
                return True
        except ValueError:
            continue
    return False


def _has_port(ports: str, port: int) -> bool:
    ranges = (part.partition("-") for part in ports.split(","))
    return any(int(low) <= port <= int(high or low) for low, _, high in ranges if low.isdigit())
