"""Where rules of ours stand among the host's own, so that these still decide.

ipfw takes the first rule that fits, so a rule of ours that redirects a port stands directly before
each rule of the host that would let that port's packets in, and takes what that one would let in:
the same sources, targets and interfaces. What the host's rules deny before, they still deny.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Literal

from operations.host_decisions import DEFAULT, PHASES, Decision, Firewall, Obstacle, Proto
from operations.host_rules import Fit, Way, fit

LOOPBACK = IPv4Address("127.0.0.1")
_DIRECTIONS: tuple[Literal["out", "in"], ...] = ("out", "in")


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
    ends: tuple[IPv4Address, ...] = ()
    """Those of the jail, to which datagrams are led."""
    loops: Mapping[IPv4Address, str] = field(default_factory=dict)
    """The loopback of an address, if that is not lo0: what the host sends there passes it."""

    @property
    def at(self) -> str:
        return ",".join(map(str, self.addresses))

    def on(self, loop: str) -> tuple[IPv4Address, ...]:
        """The addresses to which the host itself sends over this loopback."""
        return tuple(each for each in self.addresses if self.loops.get(each, "lo0") == loop)

    @property
    def loopbacks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(["lo0", *self.loops.values()]))

    @property
    def into(self) -> str:
        return f"fwd {self.jail},{self.port}" if self.proto == "tcp" else f"nat {self.nat}"

    def source(self, words: str = "") -> str:
        return words or ("any" if self.proto == "tcp" else f"not {self.network}")


Placed = tuple[int, str]
"""A rule number, and a rule."""


def public(wall: Firewall, port: Port) -> Iterator[Placed]:
    """The rules for what other machines send to a public port, and for TCP's answers."""
    way = Way(port.proto, "in", port.port, targets=port.addresses)
    later = replace(way, phase="established")
    for number, let, flag in wall.lets(way):
        if port.proto == "udp":
            _must_stay_let_in(wall, let, way, port)
        yield number, " ".join([_into(port, let.fit), *flag])
        if port.proto == "tcp" and flag != ["established"] and let.rule.keeps:
            yield from _known(wall, port, let.fit, let.rule.keeps, later)
    if port.proto == "tcp":
        lets = wall.letting(replace(way, phase="setup"))
        for each in (later, _answers(port)):
            _must_need_no_state(wall, lets, each)
        yield from _past_nat(wall, port)


def _known(wall: Firewall, port: Port, fits: Fit, name: str, later: Way) -> Iterator[Placed]:
    """What states let through: they never see the first packet, so they know nothing."""
    if at := wall.lookup(later, name):
        yield wall.number_before(at, later), f"{_into(port, fits)} established"
    answers = _answers(port)
    if at := wall.lookup(answers, name):
        yield wall.number_before(at, answers), _out(port, fits.source, fits.target)


def _must_need_no_state(wall: Firewall, lets: Sequence[Decision], later: Way) -> None:
    """Ours let later packets pass where the host's rules look for states, of all connections. So
    those that make no state have to be let pass from there on by rules that deny none.
    """
    found = [(each, wall.lookup(later, each.rule.keeps)) for each in lets]
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


def tried(wall: Firewall, port: int, at: IPv4Address) -> Iterator[Placed]:
    """The rule for the answers of a port to which the host's rules let nobody: no state of theirs
    would let these out. Whom a rule denies by name stays denied.
    """
    answers = Way("tcp", "out", port, "established", sources=(at,))
    ends = (each for each in wall.decisions(answers) if each.kind == "denies" and each.fit.all)
    denied = next(ends, None)
    if denied is not None:
        number = wall.number_before(denied, answers)
        yield number, f"allow tcp from {at} {port} to any out established"


def _answers(port: Port) -> Way:
    return Way("tcp", "out", port.port, "established", sources=port.addresses)


def _out(port: Port, client: str, at: str) -> str:
    return f"allow tcp from {at or port.at} {port.port} to {client or 'any'} out established"


def _into(port: Port, fits: Fit) -> str:
    words = [port.into, port.proto, "from", port.source(fits.source), "to", fits.target or port.at]
    return " ".join([*words, str(port.port), "in", *fits.options])


def answers(wall: Firewall, port: Port) -> Iterator[Placed]:
    """The rules that give the answers over UDP the address that was asked.

    To the host's rules the answer of a jail comes from its own address, to which most say "me".
    """
    into = Way("udp", "in", port.port, targets=port.addresses)
    out = Way("udp", "out", port.port, sources=port.addresses)
    jails = replace(out, sources=(port.jail,))
    lets = wall.letting(into)
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
        at = wall.lookup(out, let.rule.keeps) if let.rule.keeps else None
        if at is not None:
            number = wall.number_for(wall.number_before(at, out), at.rule, jails, out)
            yield number, _answer(port, Fit(target=let.fit.source))
    for loop in port.loopbacks:
        place = _over(wall, port, loop, port.on(loop))
        if place is not None:
            yield place, _answer(port, Fit(options=(f"via {loop}",)))


def local_answers(wall: Firewall, port: Port) -> Iterator[Placed]:
    """The same where it is asked at 127.0.0.1 alone: by then the client has the public address."""
    place = _over(wall, port, "lo0", (port.wan,))
    if place is not None:
        yield place, _answer(port, Fit(options=("via lo0",)))


def _answer(port: Port, fits: Fit) -> str:
    to = fits.target or f"not {port.network}"
    words = ["nat", str(port.nat), "udp from", str(port.jail), str(port.port), "to", to, "out"]
    return " ".join([*words, *fits.options])


def _must_stay_let_in(wall: Firewall, let: Decision, way: Way, port: Port) -> None:
    """Without one_pass the search goes on behind nat, where the packet is for the jail."""
    if wall.ends_at_nat:
        return
    inside = replace(way, targets=port.ends or (port.jail,))
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
    for loop in port.loopbacks:
        at = port.on(loop)
        here = (LOOPBACK,) if loop == "lo0" and others is not None else ()
        number = _over(wall, port, loop, (*at, *here), others or ())
        if number is None:
            continue
        if here:
            yield from _local(port, others or (), number, front)
        if at:
            led = Fit(target=",".join(map(str, at)), options=(f"recv {loop}",))
            yield number, _into(port, led)


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


def _over(
    wall: Firewall,
    port: Port,
    loop: str,
    ends: Sequence[IPv4Address],
    jails: Sequence[IPv4Address] = (),
) -> int | None:
    """Before the first rule that lets packets on this loopback pass. It has to be one that lets all
    pass; None without `ends`, and where none on a further loopback does, so that nobody was
    answered there.

    Jails send to the same ends; what is sent to one of ours, forward.lan lets pass (steps).
    """
    sources = (*ends, *jails)
    ways = [
        Way(port.proto, direction, phase=phase, sources=sources, targets=tuple(ends), over=loop)
        for phase in PHASES[port.proto]
        for direction in _DIRECTIONS
    ]
    if not ends or (loop != "lo0" and not any(wall.letting(way) for way in ways)):
        return None
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
            f"on {way.over} pass, as rc.firewall has it: ipfw add 100 allow ip from any to any "
            f"via {way.over}"
        )
    return found[start]
