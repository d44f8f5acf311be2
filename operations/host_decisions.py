"""What the host's own rules of ipfw decide on packets: which let them pass, which deny them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
Phase = Literal["setup", "established", ""]
Proto = Literal["tcp", "udp"]
PHASES: dict[Proto, tuple[Phase, ...]] = {"tcp": ("setup", "established"), "udp": ("",)}


class Obstacle(Exception):
    """The host's rules do not let ours keep what they decide. The message names the rule."""


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

    def lets(self, way: Way) -> Iterator[tuple[int, Decision, list[Phase]]]:
        """The rules that let packets of a way pass, with a number before each, and the flag to add.

        A rule that lets the first packet of a connection and its later ones pass is there once.
        """
        phases = PHASES[way.proto]
        each_way = {phase: replace(way, phase=phase) for phase in phases}
        found = [(phase, let) for phase in phases for let in self.letting(each_way[phase])]
        for phase, let in found:
            same = [each for _, each in found if (each.rule, each.fit) == (let.rule, let.fit)]
            if same[0] is not let:
                continue
            whole = replace(let, floor=max(each.floor for each in same))
            flag: list[Phase] = [phase] if len(same) < len(phases) else []
            yield self.number_before(whole, each_way[phase]), let, flag

    def letting(self, way: Way) -> list[Decision]:
        """The rules that let packets of a way in. Raises Obstacle if ours could not repeat one."""
        found = [each for each in self.decisions(way) if each.kind == "lets"]
        for each in found:
            why = ""
            if each.fit.unclear:
                why = f"Cellblock does not understand to which it applies ({each.fit.unclear})"
            elif each.rule.limits:
                why = "it limits how many connections there are, which it could no longer do"
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

    def lookup(self, way: Way, name: str) -> Decision | None:
        """Where ipfw looks for the states of that name, if the packets get so far."""
        wanted = (name, ":any") if name else ()
        return next(
            (
                each
                for each in self.decisions(way)
                if each.kind == "states" and each.rule.looks_up in wanted
            ),
            None,
        )


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
