"""Where the rules stand that give jails connections to other hosts, among the host's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from operations.host_decisions import PHASES, Decision, Firewall, Obstacle, Phase
from operations.host_rules import DENIES, Fit, HostRule, Way, fit
from operations.placing import Placed

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
    for proto, phases in PHASES.items():
        way = Way(proto, "out", sources=(jail.jail,))
        flag: list[Phase] = ["established"] if proto == "tcp" else []
        spans = _told_apart(wall, jail.ports)
        backs = [Way(proto, "in", low, (*flag, "")[0], targets=(jail.address,)) for low, _ in spans]
        for back in backs:
            _must_be_the_only_nat(wall, back)
        host = replace(way, sources=(jail.address,))
        phased = [replace(way, phase=phase) for phase in phases]
        plain = wall.without([each for one in phased for each in wall.spoofs(one, host)])
        for at, let, phase in plain.lets(way):
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
            for let in wall.letting(back):
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
    if at := wall.without(wall.spoofs(later, host)).lookup(later, name):
        number = wall.number_for(wall.number_before(at, later), at.rule, later, host)
        yield number, jail.out(way.proto, let.fit, *flag)
    if at := wall.lookup(back, name):
        yield wall.number_before(at, back), jail.back(way.proto, let.fit.target, *flag)
