"""ipfw(8) rules: parsed, printed as ipfw prints them, and matched against packets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import ip_address, ip_network

ACTIONS = {"accept": "allow", "pass": "allow", "permit": "allow", "drop": "deny"}
ACTIONS |= {name: name for name in ("allow", "deny", "reject", "reset", "count", "check-state")}
WITH_ARGUMENT = {"forward": "fwd", "fwd": "fwd", "nat": "nat", "skipto": "skipto"}
WITH_ARGUMENT |= {name: name for name in ("unreach", "pipe", "queue")}
PROTOCOLS = ("ip", "ip4", "ip6", "tcp", "udp", "icmp", "icmp6", "ipv6-icmp", "gre", "esp", "igmp")
FLAGS = ("in", "out", "setup", "established", "keep-state", "frag", "log")
INTERFACE_OPTIONS = ("via", "recv", "xmit")
VALUE_OPTIONS = ("icmptypes", "dst-port", "src-port", "tcpflags", "proto")
ALIASES = {"icmptype": "icmptypes"}
PORTS = {"ftp": 21, "ssh": 22, "smtp": 25, "domain": 53, "http": 80, "pop3": 110, "ntp": 123}
PORTS |= {"imap": 143, "https": 443, "submission": 587, "imaps": 993, "pop3s": 995, "mysql": 3306}
"""Names of services(5), of which ipfw prints the numbers."""
MAKES_STATES = ("keep-state", "limit")


class RuleError(Exception):
    """The message of ipfw, and its exit code."""

    def __init__(self, text: str, exit: int) -> None:
        super().__init__(text)
        self.exit = exit


@dataclass(frozen=True)
class State:
    """Of a connection: its name, and the action of the rule that made it."""

    name: str
    action: str
    argument: str
    number: int


Member = Callable[[str, str], bool]
"""Whether an address is one of "me", or in a table: ("table(1)", "198.51.100.7")."""


@dataclass(frozen=True)
class Packet:
    """One of the first three packets of a connection, as it passes one point.

    For the later ones, `states` are those that the first one made, in order, `seen_by_nat` says
    that it came in through nat, `asked_at` is the address that the client asked, and `client` who
    that is, if nat gave it another address on the way out.
    """

    proto: str
    source: str
    source_port: int
    target: str
    target_port: int
    direction: str
    interface: str
    received_on: str = ""
    is_answer: bool = False
    is_third: bool = False
    states: tuple[State, ...] = ()
    seen_by_nat: bool = False
    asked_at: str = ""
    client: str = ""
    length: int = 60


@dataclass(frozen=True)
class End:
    """`from` or `to`: addresses (a leading "not" inverts them) and ports."""

    words: tuple[str, ...]
    negated: bool
    ports: str

    def text(self) -> str:
        body = ("not " if self.negated else "") + ",".join(self.words)
        return f"{body} {self.ports}" if self.ports else body

    def holds(self, address: str, port: int, member: Member) -> bool:
        if self.ports and not _port_fits(self.ports, port):
            return False
        hit = any(_address_fits(word, address, member) for word in self.words)
        return hit != self.negated


@dataclass
class Counter:
    packets: int = 0
    bytes: int = 0

    def add(self, packet: Packet) -> None:
        self.packets += -(-packet.length // 1500)
        self.bytes += packet.length


@dataclass(frozen=True)
class Rule:
    number: int
    set: int
    action: str
    argument: str
    proto: str
    source: End | None
    target: End | None
    options: tuple[tuple[str, str], ...]
    counter: Counter = field(default_factory=Counter, compare=False)

    @property
    def makes(self) -> State | None:
        """The state that it makes of a connection."""
        for name, value in self.options:
            if name in MAKES_STATES:
                return State(value.split()[-1], self.action, self.argument, self.number)
        return None

    @property
    def looks_for(self) -> str:
        """The name of the states for which ipfw looks at this rule, whatever the packet is."""
        made = self.makes
        if self.action == "check-state":
            return self.argument or ":default"
        return made.name if made else ""

    def text(self) -> str:
        words = [self.action]
        if self.argument:
            words.append(self.argument)
        words += [_shown(name, value) for name, value in self.options if name == "log"]
        if self.source and self.target:
            words += [self.proto, "from", self.source.text(), "to", self.target.text()]
        words += [_shown(name, value) for name, value in self.options if name != "log"]
        return " ".join(words)

    def holds(self, packet: Packet, member: Member) -> bool:
        if self.source is None or self.target is None:
            return False
        version = "ip6" if ":" in packet.target else "ip4"
        if self.proto not in ("ip", version, packet.proto):
            return False
        for name, value in self.options:  # first, since they cost the least
            if not _option_holds(name, value, packet):
                return False
        return self.source.holds(packet.source, packet.source_port, member) and self.target.holds(
            packet.target, packet.target_port, member
        )


def parse(words: list[str], next_number: int) -> Rule:
    """The words after `add`."""
    rest = list(words)
    number = int(rest.pop(0)) if rest and rest[0].isdigit() else next_number
    group = 0
    if rest[:1] == ["set"]:
        group = int(rest[1])
        rest = rest[2:]
    action, argument, rest = _action(rest)
    if action == "check-state":
        return Rule(number, group, action, (*rest, ":default")[0], "", None, None, ())
    logged = rest[:1] == ["log"]
    rest = rest[1:] if logged else rest
    amount = " ".join(rest[:2]) if logged and rest[:1] == ["logamount"] else ""
    rest = rest[2:] if amount else rest
    if not rest:
        raise RuleError("missing protocol", 64)
    proto = {"all": "ip", "ipv4": "ip4", "ipv6": "ip6"}.get(rest[0], rest[0])
    if proto not in PROTOCOLS:
        raise RuleError(f"unrecognised option [-1] {rest[0]}\n", 64)
    source, rest = _end("from", rest[1:])
    target, rest = _end("to", rest)
    options = ((("log", amount),) if logged else ()) + _options(rest)
    if not target.ports:  # `dst-port 22` is the same rule as a port after the address
        ports = [_ports(value) for name, value in options if name == "dst-port"]
        options = tuple(option for option in options if option[0] != "dst-port")
        target = replace(target, ports=",".join(ports))
    if not 0 <= number < 65535 or not 0 <= group <= 31:
        raise RuleError("getsockopt(IP_FW_XADD): Invalid argument", 69)
    return Rule(number, group, action, argument, proto, source, target, options)


def _shown(name: str, value: str) -> str:
    return f"{name} {value}".strip()


def _action(words: list[str]) -> tuple[str, str, list[str]]:
    if not words:
        raise RuleError("missing action", 64)
    if words[0] in ACTIONS:
        return ACTIONS[words[0]], "", words[1:]
    if words[0] in WITH_ARGUMENT and len(words) > 1:
        if words[0] in ("fwd", "forward"):
            _check_address(words[1].partition(",")[0])
        return WITH_ARGUMENT[words[0]], words[1], words[2:]
    raise RuleError(f"invalid action {words[0]}", 64)


def _end(keyword: str, words: list[str]) -> tuple[End, list[str]]:
    if words[:1] != [keyword] or len(words) < 2:
        raise RuleError(f"missing ``{keyword}''", 64)
    rest = words[1:]
    negated = rest[0] == "not"
    rest = rest[1:] if negated else rest
    if not rest:
        raise RuleError(f"missing address after ``{keyword}''", 64)
    addresses = tuple(rest[0].split(","))
    for address in addresses:
        if address not in ("any", "me", "me6") and not re.fullmatch(r"table\(\w+\)", address):
            _check_address(address)
    ports = ""
    if len(rest) > 1 and (found := _ports(rest[1])):
        ports, rest = found, rest[1:]
    elif rest[1:2] == ["not"] and len(rest) > 2 and (found := _ports(rest[2])):
        ports, rest = f"not {found}", rest[2:]
    return End(addresses, negated, ports), rest[1:]


def _ports(word: str) -> str:
    """Ports by number or name, as ipfw prints them; "" for another word."""
    parts = [str(PORTS.get(part, part)) for part in word.split(",")]
    return ",".join(parts) if all(part[:1].isdigit() for part in parts) else ""


def _check_address(word: str) -> None:
    try:
        ip_network(word, strict=False)
    except ValueError:
        raise RuleError(f"hostname ``{word}'' unknown", 68) from None


def _options(words: list[str]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "not" and rest:
            word = f"not {rest.pop(0)}"
        plain = word.removeprefix("not ")
        word, plain = word.replace(plain, ALIASES.get(plain, plain)), ALIASES.get(plain, plain)
        if plain == "keep-state":
            named = bool(rest) and rest[0].startswith(":")
            found.append((word, rest.pop(0) if named else ":default"))
        elif plain == "limit" and len(rest) > 1:
            mask, number = rest.pop(0), rest.pop(0)
            named = bool(rest) and rest[0].startswith(":")
            found.append((word, f"{mask} {number} {rest.pop(0) if named else ':default'}"))
        elif plain in FLAGS:
            found.append((word, ""))
        elif plain in (*INTERFACE_OPTIONS, *VALUE_OPTIONS) and rest:
            found.append((word, rest.pop(0)))
        elif plain == "//":
            found.append(("//", " ".join(rest)))
            break
        else:
            raise RuleError(f"unrecognised option [-1] {word}\n", 64)
    return tuple(found)


def _address_fits(word: str, address: str, member: Member) -> bool:
    if word == "any":
        return True
    if word in ("me", "me6") or word.startswith("table("):
        return member(word, address)
    return _is_within(address, word)


@lru_cache(maxsize=4096)
def _is_within(address: str, network: str) -> bool:
    found, there = ip_address(address), ip_network(network, strict=False)
    return found.version == there.version and found in there


@lru_cache(maxsize=4096)
def _port_fits(ports: str, port: int) -> bool:
    if ports.startswith("not "):
        return not _port_fits(ports[4:], port)
    for part in ports.split(","):
        low, _, high = part.partition("-")
        if int(low) <= port <= int(high or low):
            return True
    return False


def _flags(packet: Packet) -> set[str]:
    if packet.is_third:
        return {"ack"}
    return {"syn", "ack"} if packet.is_answer else {"syn"}


def _has_flags(wanted: str, packet: Packet) -> bool:
    flags = _flags(packet)
    return all((word.lstrip("!") in flags) != word.startswith("!") for word in wanted.split(","))


OPTION_HOLDS: dict[str, Callable[[str, Packet], bool]] = {
    "in": lambda value, packet: packet.direction == "in",
    "out": lambda value, packet: packet.direction == "out",
    "via": lambda value, packet: packet.interface == value,
    "recv": lambda value, packet: packet.received_on == value,
    "xmit": lambda value, packet: packet.direction == "out" and packet.interface == value,
    "dst-port": lambda value, packet: _port_fits(value, packet.target_port),
    "src-port": lambda value, packet: _port_fits(value, packet.source_port),
    "established": lambda value, packet: packet.proto == "tcp" and "ack" in _flags(packet),
    "setup": lambda value, packet: packet.proto == "tcp" and _flags(packet) == {"syn"},
    "tcpflags": lambda value, packet: packet.proto == "tcp" and _has_flags(value, packet),
    "frag": lambda value, packet: False,
    "proto": lambda value, packet: packet.proto == value,
    "icmptypes": lambda value, packet: False,
}


def _option_holds(name: str, value: str, packet: Packet) -> bool:
    plain = name.removeprefix("not ")
    holds = OPTION_HOLDS[plain](value, packet) if plain in OPTION_HOLDS else True
    return holds != name.startswith("not ")
