"""Where rules of ours stand among the host's own, so that these still decide.

ipfw takes the first rule that fits, so a rule of ours that redirects a port stands directly before
each rule of the host that would let that port's packets in, and takes what that one would let in:
the same sources, targets and interfaces. What the host's rules deny before, they still deny.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Literal

from operations.facts import Rule
from operations.host_rules import (
    DENIES,
    LETS,
    PASSES_ON,
    SHAPES,
    Fit,
    HostRule,
    Way,
    fit,
    parsed,
)

DEFAULT = 65535
LATEST = 64999
"""Before rc.firewall's 65000, and behind the ranges in which programs add rules that block."""
LOOPBACK = IPv4Address("127.0.0.1")
_Phase = Literal["setup", "established", ""]
Proto = Literal["tcp", "udp"]
_PHASES: dict[Proto, tuple[_Phase, ...]] = {"tcp": ("setup", "established"), "udp": ("",)}
_DIRECTIONS: tuple[Literal["out", "in"], ...] = ("out", "in")


class Obstacle(Exception):
    """The host's rules do not let ours keep what they decide. The message names the rule."""


@dataclass(frozen=True)
class Port:
    """A port of a service, and how its packets get into the jail.

    `nat` is the instance for UDP, `wan` the address that it gives. `addresses` are those of the
    host at which the port answers; none if it does at 127.0.0.1 alone.
    """

    proto: Proto
    port: int
    public: bool
    jail: IPv4Address
    nat: int
    wan: IPv4Address
    addresses: tuple[IPv4Address, ...]
    network: str
    """Of the jails."""

    @property
    def at(self) -> str:
        return ",".join(map(str, self.addresses))

    @property
    def into(self) -> str:
        return f"fwd {self.jail},{self.port}" if self.proto == "tcp" else f"nat {self.nat}"

    def source(self, words: str = "") -> str:
        return words or ("any" if self.proto == "tcp" else f"not {self.network}")


Placed = tuple[int, str]
"""A rule number, and a rule."""


@dataclass(frozen=True)
class Decision:
    """A rule that ends the search for some packets of a way, or looks for their states.

    `floor` is the least number that a rule has to have to be searched just before it.
    """

    rule: HostRule
    kind: Literal["lets", "denies", "states"]
    fit: Fit
    floor: int


@dataclass(frozen=True)
class Firewall:
    """The host's own rules, in order, and what else decides on a packet.

    `floor` is the number of our last rule that has to come before all of these.
    """

    rules: tuple[HostRule, ...]
    nats: Mapping[int, str] = field(default_factory=dict)
    ends_at_nat: bool = True
    floor: int = 0

    def decisions(self, way: Way) -> list[Decision]:
        """The rules that may end the search for these packets, in order, with skipto followed."""
        found: list[Decision] = []
        here, floor, landings = True, self.floor, set[int]()
        for rule in self.rules:
            if reached := [each for each in landings if each <= rule.number]:
                here, floor = True, max(floor, *reached)
                landings -= set(reached)
            if not here:
                continue
            if rule.looks_up:
                found.append(Decision(rule, "states", Fit(), floor))
            fits = fit(rule, way)
            if fits is None or rule.action in {"count", "check-state"}:
                continue
            if rule.action == "skipto":
                landings.add(self._landing(rule, way, fits))
                here = not fits.all
            elif kind := self._kind(rule, way):
                found.append(Decision(rule, kind, fits, floor))
                here = not fits.all
            floor = max(floor, rule.number)
        return found

    @staticmethod
    def _landing(rule: HostRule, way: Way, fits: Fit) -> int:
        if not rule.argument.isdigit() or fits.unclear:
            raise Obstacle(
                f"{rule} decides where {way} go on, in a way that Cellblock does not understand "
                f"({fits.unclear or rule.argument}): give these packets a rule of their own before "
                "it that lets them in or denies them"
            )
        return int(rule.argument)

    def _kind(self, rule: HostRule, way: Way) -> Literal["lets", "denies"] | None:
        """None for a rule behind which the search goes on."""
        if rule.action in LETS:
            return "lets"
        if rule.action in DENIES:
            return "denies"
        if rule.action in PASSES_ON:
            return None
        if rule.action == "nat":
            if self._redirects(rule, way):
                return "denies"
            return "lets" if self.ends_at_nat else None
        if rule.action in SHAPES:
            return "lets" if self.ends_at_nat else None
        raise Obstacle(
            f"{rule} takes {way}, and Cellblock does not know what {rule.action} does to them: "
            "give these packets a rule of their own before it that lets them in or denies them"
        )

    def _redirects(self, rule: HostRule, way: Way) -> bool:
        """Whether nat of the host's own sends the port elsewhere, or denies what it did not ask."""
        config = self.nats.get(int(rule.argument), "") if rule.argument.isdigit() else "deny_in"
        if way.direction == "out":
            return False
        words = config.split()
        if "deny_in" in words or "redirect_addr" in words or "redirect_proto" in words:
            return True
        ends = [words[n + 3] for n, word in enumerate(words[:-3]) if word == "redirect_port"]
        return any(_spans(end.rpartition(":")[2], way.port) for end in ends)

    def number_before(self, decision: Decision, way: Way) -> int:
        """A number for rules that have to be searched directly before this one.

        A free one, as late as possible; else that of a rule of the host: rules of one number are
        searched in the order in which they were added, and ours are added last.
        """
        rule = decision.rule
        lowest = max(decision.floor, self.floor + 1)
        latest = rule.number - 1
        if rule.number == DEFAULT and lowest <= LATEST:
            latest = LATEST
        taken = {each.number for each in self.rules}
        free = (n for n in range(latest, lowest - 1, -1) if n not in taken)
        if latest >= lowest:
            return next(free, latest)
        todo = f"give it a number above {lowest}"
        if lowest == self.floor + 1:
            todo += ", and set first_rule = 1 in [firewall], if it is another"
        raise Obstacle(
            f"{rule} decides on {way}, and no number is left for Cellblock's rules directly before "
            f"it: {todo}"
        )

    def number_for(self, number: int, let: HostRule, way: Way, host: Way) -> int:
        """The number, or one before the first rule of `spoofs` if that comes earlier.

        Whatever else the host's rules deny between there and `let` would pass.
        """
        first = next((each for each in self.spoofs(way, host) if each.rule.number <= number), None)
        if first is None:
            return number
        spoofs = [each.rule for each in self.spoofs(way, host)]
        for each in self.decisions(way):
            between = first.rule.number < each.rule.number < let.number
            if each.kind == "denies" and between and each.rule not in spoofs:
                raise Obstacle(
                    f"{first.rule} denies what comes from the jails' own addresses, so nat has to "
                    f"come before it, and {each.rule} behind it denies some of {way}: give that "
                    f"rule a number below {first.rule.number}"
                )
        return self.number_before(first, way)

    def spoofs(self, way: Way, host: Way) -> list[Decision]:
        """The rules that deny what has a source like a jail's, and not what has the host's own.

        They are against private addresses on the wire. Whom a table has, nobody knows here; the
        host's own addresses are in none, or nothing would leave.
        """
        return [
            each
            for each in self.decisions(way)
            if each.kind == "denies"
            and not each.fit.unclear
            and (each.fit.source.startswith("table(") or fit(each.rule, host) is None)
        ]

    def without(self, rules: Sequence[Decision]) -> Firewall:
        return replace(self, rules=tuple(e for e in self.rules if e not in [d.rule for d in rules]))


def _spans(ports: str, port: int | None) -> bool:
    low, _, high = ports.partition("-")
    return port is None or not low.isdigit() or int(low) <= port <= int(high or low)


def of_host(
    rules: Sequence[Rule],
    *,
    nats: Mapping[int, str] | None = None,
    ends_at_nat: bool = True,
    floor: int = 0,
) -> Firewall:
    """The host's own firewall: its rules without those of disabled sets."""
    theirs = [parsed(each.number, each.body) for each in rules if each.enabled]
    if not any(rule.number == DEFAULT and rule.action != "count" for rule in theirs):
        # Not loaded yet; Cellblock loads it with this rule.
        theirs.append(parsed(DEFAULT, "allow ip from any to any"))
    return Firewall(tuple(theirs), dict(nats or {}), ends_at_nat, floor)


def public(wall: Firewall, port: Port) -> Iterator[Placed]:
    """The rules for what other machines send to a public port, and for TCP's answers."""
    way = Way(port.proto, "in", port.port, targets=port.addresses)
    later = replace(way, phase="established")
    for number, let, flag in _lets(wall, way):
        if port.proto == "udp":
            _must_stay_let_in(wall, let, way, port)
        yield number, " ".join([_into(port, let.fit), *flag])
        if port.proto == "tcp" and flag != ["established"] and let.rule.keeps:
            yield from _known(wall, port, let.fit, let.rule.keeps, later)
    if port.proto == "tcp":
        lets = _letting(wall, replace(way, phase="setup"))
        for each in (later, _answers(port)):
            _must_need_no_state(wall, lets, each)
        yield from _past_nat(wall, port)


def _lets(wall: Firewall, way: Way) -> Iterator[tuple[int, Decision, list[_Phase]]]:
    """The rules that let packets of a way pass, with the number before each and the flag to add.

    A rule that lets the first packet of a connection and its later ones pass is there once.
    """
    phases = _PHASES[way.proto]
    found = [(phase, let) for phase in phases for let in _letting(wall, replace(way, phase=phase))]
    for phase, let in found:
        same = [each for _, each in found if (each.rule, each.fit) == (let.rule, let.fit)]
        if same[0] is not let:
            continue
        whole = replace(let, floor=max(each.floor for each in same))
        flag: list[_Phase] = [phase] if len(same) < len(phases) else []
        yield wall.number_before(whole, replace(way, phase=phase)), let, flag


def _known(wall: Firewall, port: Port, fits: Fit, name: str, later: Way) -> Iterator[Placed]:
    """What states let through: they never see the first packet, so they know nothing."""
    if at := _lookup(wall, later, name):
        yield wall.number_before(at, later), f"{_into(port, fits)} established"
    answers = _answers(port)
    if at := _lookup(wall, answers, name):
        yield wall.number_before(at, answers), _out(port, fits.source, fits.target)


def _must_need_no_state(wall: Firewall, lets: Sequence[Decision], later: Way) -> None:
    """Ours let later packets pass where the host's rules look for states, of all connections. So
    those that make no state have to be let pass from there on by rules that deny none.
    """
    found = [(each, _lookup(wall, later, each.rule.keeps)) for each in lets]
    start = min((at.rule.number for _, at in found if at), default=DEFAULT)
    others = [each for each, at in found if at is None or at.rule.number != start]
    behind = (each for each in wall.decisions(later) if each.rule.number >= start)
    first = next((each for each in behind if each.kind == "denies" or each.fit.all), None)
    if len(others) < len(found) and others and first is not None and first.kind != "lets":
        raise Obstacle(
            f"{others[0].rule} lets connections in without the keep-state of other rules, and "
            f"{first.rule} may deny {later}, which those pass by their state: give the first of "
            "these rules the same keep-state"
        )


def _past_nat(wall: Firewall, port: Port) -> Iterator[Placed]:
    """nat that did not see a connection come in would give its answers another port."""
    answers = _answers(port)
    for each in wall.decisions(answers):
        if each.kind == "lets" and each.rule.action == "nat":
            yield wall.number_before(each, answers), _out(port, each.fit.target, each.fit.source)


def _answers(port: Port) -> Way:
    return Way("tcp", "out", port.port, "established", sources=port.addresses)


def _out(port: Port, client: str, at: str) -> str:
    return f"allow tcp from {at or port.at} {port.port} to {client or 'any'} out established"


def _into(port: Port, fits: Fit) -> str:
    words = [port.into, port.proto, "from", port.source(fits.source), "to", fits.target or port.at]
    return " ".join([*words, str(port.port), "in", *fits.options])


def _letting(wall: Firewall, way: Way) -> list[Decision]:
    """The rules that let packets of a way in. Raises Obstacle for what ours could not repeat."""
    found = [each for each in wall.decisions(way) if each.kind == "lets"]
    for each in found:
        why = ""
        if each.fit.unclear:
            why = f"Cellblock does not understand to which it applies ({each.fit.unclear})"
        elif each.rule.limits:
            why = "it limits how many connections there are at a time, which it could no longer do"
        elif each.rule.action in SHAPES:
            why = (
                "it limits their bandwidth, which it could no longer do: set the sysctl "
                "net.inet.ip.fw.one_pass to 0, so that a later rule lets them in, or"
            )
        if why:
            raise Obstacle(
                f"{each.rule} decides on {way}, and {why}"
                + (" " if why.endswith("or") else ": ")
                + "give these packets a rule of their own before it, without that"
            )
    return found


def _lookup(wall: Firewall, way: Way, name: str) -> Decision | None:
    """Where ipfw looks for the states of that name, if the packets get so far."""
    wanted = (name, ":any") if name else ()
    return next(
        (
            each
            for each in wall.decisions(way)
            if each.kind == "states" and each.rule.looks_up in wanted
        ),
        None,
    )


def answers(wall: Firewall, port: Port) -> Iterator[Placed]:
    """The rules that give the answers over UDP the address that was asked.

    To the host's rules the answer of a jail comes from its own address, to which most say "me".
    """
    into = Way("udp", "in", port.port, targets=port.addresses)
    out = Way("udp", "out", port.port, sources=port.addresses)
    jails = replace(out, sources=(port.jail,))
    lets = _letting(wall, into)
    _must_need_no_state(wall, lets, out)
    for each in wall.decisions(out):
        if each.kind == "denies" and fit(each.rule, jails) != each.fit:
            raise Obstacle(
                f"{each.rule} denies {out}, which come from {port.jail} after the move, and would "
                "pass: name the clients in that rule, and no address of the host"
            )
        if each.kind == "lets":
            number = wall.number_for(wall.number_before(each, out), each.rule, jails, out)
            yield number, _answer(port, each.fit)
    for let in lets:
        at = _lookup(wall, out, let.rule.keeps) if let.rule.keeps else None
        if at is not None:
            number = wall.number_for(wall.number_before(at, out), at.rule, jails, out)
            yield number, _answer(port, Fit(target=let.fit.source))
    yield _over_lo0(wall, port, port.addresses), _answer(port, Fit(options=("via lo0",)))


def _answer(port: Port, fits: Fit) -> str:
    to = fits.target or f"not {port.network}"
    words = ["nat", str(port.nat), "udp from", str(port.jail), str(port.port), "to", to, "out"]
    return " ".join([*words, *fits.options])


def _must_stay_let_in(wall: Firewall, let: Decision, way: Way, port: Port) -> None:
    """Without one_pass the search goes on behind nat, where the packet is for the jail."""
    if wall.ends_at_nat:
        return
    inside = replace(way, targets=(port.jail,))
    if let.rule.keeps or fit(let.rule, inside) != let.fit:
        raise Obstacle(
            f"net.inet.ip.fw.one_pass is 0, so {let.rule} decides on {way} once more when they are "
            "on their way to the jail, and their answers would be lost: let them in and out by "
            "rules without keep-state and without addresses of the host, or set one_pass to 1"
        )


def local(
    wall: Firewall, port: Port, others: Sequence[IPv4Address] | None, front: int
) -> Iterator[Placed]:
    """The rules for what programs of the host and of jails send to this port.

    `others` are the jails in which 127.0.0.1 means the jail's own address; with None, only the
    host's own addresses lead to the jail, and 127.0.0.1 does not. What a jail sends to itself the
    host's rules never knew: those rules have the number `front`, before all of the host's.
    """
    ends = (*port.addresses, *(() if others is None else (LOOPBACK, *others)))
    if not ends:
        return
    number = _over_lo0(wall, port, ends)
    if others is not None:
        yield from _local(port, others, number, front)
    if port.addresses:
        yield number, f"{_into(port, Fit())} recv lo0"


def localhost(
    wall: Firewall, port: Port, others: Sequence[IPv4Address], front: int
) -> Iterator[Placed]:
    """The same for 127.0.0.1 alone."""
    yield from _local(port, others, _over_lo0(wall, port, (LOOPBACK, *others)), front)


def _local(port: Port, others: Sequence[IPv4Address], number: int, front: int) -> Iterator[Placed]:
    """Over UDP the client's address becomes the public one before the query goes in: the kernel
    would turn 127.0.0.1 into the jail's own address when the jail answers (docs/decisions/0026).
    """
    if port.proto == "udp":
        here, wan = f"{LOOPBACK} {port.port}", port.wan
        yield number, f"nat {port.nat} udp from {LOOPBACK} to {here} out"
        yield number, f"nat {port.nat} udp from {wan} to {here} in"
        yield number, f"nat {port.nat} udp from {here} to {wan} in"
        return
    yield number, f"{port.into} tcp from any to {LOOPBACK} {port.port}"
    for address in others:
        yield front, f"{port.into} tcp from any to {address} {port.port}"


def _over_lo0(wall: Firewall, port: Port, ends: Sequence[IPv4Address]) -> int:
    """Before the first rule that lets packets on lo0 pass. It has to be one that lets all pass."""
    ways = [
        Way(port.proto, direction, phase=phase, sources=tuple(ends), targets=tuple(ends), own=True)
        for phase in _PHASES[port.proto]
        for direction in _DIRECTIONS
    ]
    found = [(_passes(wall, way), way) for way in ways]
    floor = max(each.floor for each, _ in found)
    first, way = min(found, key=lambda each: each[0].rule.number)
    return wall.number_before(replace(first, floor=floor), way)


def _passes(wall: Firewall, way: Way) -> Decision:
    """The first rule that lets these packets pass, with none behind it that denies some."""
    found = [each for each in wall.decisions(way) if each.kind != "states"]
    start = next((n for n, each in enumerate(found) if each.kind == "lets"), len(found))
    denying = next((each.rule for each in found[start:] if each.kind == "denies"), None)
    if denying is None and (start == len(found) or found[start].rule.keeps):
        denying = found[min(start, len(found) - 1)].rule
    if denying is not None:
        raise Obstacle(
            f"{denying} decides on {way}: Cellblock expects a rule before it that lets everything "
            "on lo0 pass, as rc.firewall has it: ipfw add 100 allow ip from any to any via lo0"
        )
    return found[start]


Span = tuple[int, int]
"""Ports, the first and the last."""


def _written(spans: Sequence[Span]) -> str:
    """As ipfw writes ports."""
    joined: list[Span] = []
    for low, high in sorted(spans):
        if joined and joined[-1][1] + 1 == low:
            joined.append((joined.pop()[0], high))
        else:
            joined.append((low, high))
    return ",".join(f"{low}-{high}" if low < high else f"{low}" for low, high in joined)


@dataclass(frozen=True)
class Outward:
    """A jail whose connections to other hosts get the host's address by nat."""

    jail: IPv4Address
    nat: int
    address: IPv4Address
    interface: str
    network: str
    """Of the jails."""
    ports: str
    """Those that libalias takes for them: answers come to these."""
    serves: str = ""
    """The UDP ports of its services, whose answers have the service's own nat."""

    def only_answers(self, fits: Fit) -> bool:
        """Whether these come from ports of its services alone."""
        ports = fits.source.partition(" ")[2]
        return bool(ports) and set(ports.split(",")) <= set(self.serves.split(","))

    def out(self, proto: str, fits: Fit, *more: str) -> str:
        source, _, ports = fits.source.partition(" ")
        others = f"not {self.serves}" if proto == "udp" and self.serves else ""
        origin = f"{self.jail} {(ports if source == 'any' else '') or others}".strip()
        to = fits.target or f"not {self.network}"
        options = [each for each in fits.options if not each.startswith(("via ", "xmit "))]
        words = ["nat", str(self.nat), proto, "from", origin, "to", to, "out", "xmit"]
        return " ".join([*words, self.interface, *options, *more])

    def back(self, proto: str, source: str, *more: str) -> str:
        words = ["nat", str(self.nat), proto, "from", source or "any", "to", str(self.address)]
        return " ".join([*words, self.ports, "in recv", self.interface, *more])


def outward(wall: Firewall, jail: Outward) -> Iterator[Placed]:
    """The rules that give a jail the connections which the host's rules let the host open.

    An answer is taken by nat where the host's rules let answers to that port in: what they say of
    one port holds for it alone. It has to be an answer: a new connection to a port of the host
    above those is no business of ours.
    """
    for proto, phases in _PHASES.items():
        way = Way(proto, "out", sources=(jail.jail,))
        flag: list[_Phase] = ["established"] if proto == "tcp" else []
        spans = _told_apart(wall, jail.ports)
        backs = [Way(proto, "in", low, (*flag, "")[0], targets=(jail.address,)) for low, _ in spans]
        for back in backs:
            _must_be_the_only_nat(wall, back)
        host = replace(way, sources=(jail.address,))
        phased = [replace(way, phase=phase) for phase in phases]
        plain = wall.without([each for one in phased for each in wall.spoofs(one, host)])
        for at, let, phase in _lets(plain, way):
            if proto == "udp" and jail.only_answers(let.fit):
                continue
            one = replace(way, phase=(*phase, *phases)[0])
            number = wall.number_for(at, let.rule, one, host)
            yield number, jail.out(proto, let.fit, *phase)
            if phase != ["established"] and let.rule.keeps:
                spared = [
                    span
                    for span, back in zip(spans, backs, strict=True)
                    if not _is_denied_by_number(wall, back)
                ]
                known = replace(jail, ports=_written(spared or spans))
                yield from _known_outward(wall, known, let, one, backs[0])
        found: dict[tuple[int, str], list[Span]] = {}
        for span, back in zip(spans, backs, strict=True):
            for let in _letting(wall, back):
                found.setdefault((wall.number_before(let, back), let.fit.source), []).append(span)
        for (number, source), let_in in found.items():
            yield number, replace(jail, ports=_written(let_in)).back(proto, source, *flag)


def _told_apart(wall: Firewall, ports: str) -> list[Span]:
    """These ports, cut where rules of the host begin or end to mean some of them."""
    cuts = {
        port
        for rule in wall.rules
        for low, high in map(_ends, _named_ports(rule))
        for port in (low, high + 1)
    }
    found: list[Span] = []
    for low, high in map(_ends, ports.split(",")):
        starts = [low, *sorted(each for each in cuts if low < each <= high)]
        found += zip(starts, [*(each - 1 for each in starts[1:]), high], strict=True)
    return found


def _ends(ports: str) -> Span:
    low, _, high = ports.partition("-")
    return int(low), int(high or low)


def _named_ports(rule: HostRule) -> list[str]:
    """The ports to which a rule says that it applies, or does not."""
    named = [*rule.target[1:], *(value for name, value in rule.options if "dst-port" in name)]
    words = ",".join(each.removeprefix("not ") for each in named).split(",")
    return [each for each in words if re.fullmatch(r"\d+(-\d+)?", each)]


def _is_denied_by_number(wall: Firewall, back: Way) -> bool:
    """Whether a rule denies the port, and names it: not one that denies whatever has no state."""
    return any(
        rule.action in DENIES and _named_ports(rule) and fit(rule, back) is not None
        for rule in wall.rules
    )


def _must_be_the_only_nat(wall: Firewall, back: Way) -> None:
    for rule in wall.rules:
        if rule.action in {"nat", "divert"} and fit(rule, back) is not None:
            raise Obstacle(
                f"{rule} is nat of the host's own, whose answers Cellblock's nat for connections "
                'out of jails would take: take egress out of `order`, or set outbound = "none" or '
                '"public" for the jails'
            )


def _known_outward(
    wall: Firewall, jail: Outward, let: Decision, way: Way, back: Way
) -> Iterator[Placed]:
    """nat takes a connection before it has a state, so nothing is known of it later."""
    name, flag = let.rule.keeps, [back.phase] if back.phase else []
    later, host = replace(way, phase=back.phase), replace(way, sources=(jail.address,))
    if at := _lookup(wall.without(wall.spoofs(later, host)), later, name):
        number = wall.number_for(wall.number_before(at, later), at.rule, later, host)
        yield number, jail.out(way.proto, let.fit, *flag)
    if at := _lookup(wall, back, name):
        yield wall.number_before(at, back), jail.back(way.proto, let.fit.target, *flag)
