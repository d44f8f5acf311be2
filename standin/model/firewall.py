"""The state of ipfw (rules, sets, nat instances), and its verdict on a packet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from standin.model.rules import Member, Packet, Rule, State

LAST_SET = 31
LINK_LIVES = 60.0  # seconds without a packet (UDP_EXPIRE_TIME of libalias)
STEP = 100
NAT_PORT = 32768
SHAPES = {"pipe", "queue"}
PASSES = {"allow", *SHAPES}
ENDS = {"allow", "fwd", "deny", "reject", "reset", "unreach"}


@dataclass(frozen=True)
class Redirect:
    """Of a port or an address. Without a protocol it takes any; without ports it keeps them."""

    proto: str
    address: str
    port: int
    public: str
    public_port: int


@dataclass(frozen=True)
class Nat:
    number: int
    text: str
    ip: str
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True)
class Verdict:
    """How the search ended, and the next hop where a fwd rule gave one."""

    kind: Literal["pass", "drop", "fwd"]
    packet: Packet
    next_hop: str = ""
    next_port: int = 0
    states: tuple[State, ...] = ()
    through_nat: bool = False


@dataclass(frozen=True)
class _Search:
    """How it ended, the rules that counted the packet, and the addresses that were looked up."""

    verdict: Verdict
    counted: tuple[Rule, ...]
    members: Mapping[tuple[str, str], bool]


@dataclass
class Links:
    """What libalias keeps of datagrams that came in: by the end to which it led one, and the
    client's, the address that was asked.

    It finds the answer's link by these two ends alone. Of two with the same ends it knows the older
    one: SPLAY_INSERT of a second does nothing (AddLink in alias_db.c of 15.0; seen there, too).
    """

    asked: dict[tuple[str, int, str, int], tuple[str, float]] = field(default_factory=dict)

    def of_answer(self, led: Packet, asked: str, now: float) -> str:
        """The address from which the answer to this packet leaves."""
        ends = (led.target, led.target_port, led.source, led.source_port)
        first, used = self.asked.get(ends, (asked, now))
        if now - used > LINK_LIVES:
            first = asked
        self.asked[ends] = (first, now)
        return first


@dataclass
class Firewall:
    """`rules`, `disabled` and `nats` are replaced, not changed in place: `judge` compares them."""

    rules: tuple[Rule, ...] = ()
    disabled: frozenset[int] = frozenset()
    nats: Mapping[int, Nat] = field(default_factory=dict)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    accepts_by_default: bool = False
    links: Links = field(default_factory=Links)
    _judged: dict[tuple[Packet, bool], _Search] = field(default_factory=dict)
    _judged_by: tuple[object, object, object] = (None, None, None)

    def next_number(self) -> int:
        return min(max((rule.number for rule in self.rules), default=0) + STEP, 65534)

    def add(self, rule: Rule) -> None:
        """Add a rule after the rules of the same number, which stay."""
        place = sum(1 for old in self.rules if old.number <= rule.number)
        self.rules = (*self.rules[:place], rule, *self.rules[place:])

    def delete(self, *, number: int | None = None, group: int | None = None) -> int:
        before = len(self.rules)
        self.rules = tuple(
            rule
            for rule in self.rules
            if not (
                (number is None or rule.number == number) and (group is None or rule.set == group)
            )
        )
        return before - len(self.rules)

    def swap(self, one: int, other: int) -> None:
        turned = {one: other, other: one}
        self.rules = tuple(replace(rule, set=turned.get(rule.set, rule.set)) for rule in self.rules)

    def judge(self, packet: Packet, own: Member, *, ends_at_nat: bool) -> Verdict:
        """The verdict on a packet, which is counted. The prober sends the same packets hundreds of
        times a second, so a search is cached until something that it depends on changes.
        """
        by = (self.rules, self.disabled, self.nats)
        # By identity: a rule that was deleted and added again counts from 0.
        if any(now is not was for now, was in zip(by, self._judged_by, strict=True)):
            self._judged, self._judged_by = {}, by
        found = self._judged.get((packet, ends_at_nat))
        if found is None or any(own(*one) != was for one, was in found.members.items()):
            found = self._searched(packet, own, ends_at_nat=ends_at_nat)
            self._judged[packet, ends_at_nat] = found
        for rule in found.counted:
            rule.counter.add(packet)
        return found.verdict

    def _searched(self, packet: Packet, own: Member, *, ends_at_nat: bool) -> _Search:
        counted: list[Rule] = []
        members: dict[tuple[str, str], bool] = {}

        def asked(word: str, address: str) -> bool:
            return members.setdefault((word, address), own(word, address))

        verdict = self._search(packet, asked, counted, ends_at_nat=ends_at_nat)
        return _Search(verdict, tuple(counted), members)

    def _search(
        self, packet: Packet, own: Member, counted: list[Rule], *, ends_at_nat: bool
    ) -> Verdict:
        """Try the rules of the enabled sets, in order of their numbers."""
        skip_to = 0
        states: tuple[State, ...] = packet.states
        for rule in self.rules:
            if rule.number < skip_to or rule.set in self.disabled:
                continue
            action, argument = rule.action, rule.argument
            known = _found(rule, packet.states)
            if known is not None:
                # ipfw looks for states once: at the first rule that has to do with them.
                packet = replace(packet, states=())
                action, argument = known.action, known.argument
            elif not rule.holds(packet, own):
                continue
            elif made := rule.makes:
                states = (*states, made)
            counted.append(rule)
            if action == "skipto":
                skip_to = int(argument)
            elif action == "nat":
                nat = self.nats.get(int(argument)) if argument.isdigit() else None
                if nat is None:
                    return Verdict("drop", packet)
                packet = translate(nat, packet)
                if ends_at_nat:
                    return Verdict("pass", packet, states=states, through_nat=True)
            elif action in ENDS or (action in SHAPES and ends_at_nat):
                return replace(_end(action, argument, packet), states=states)
        return Verdict("pass" if self.accepts_by_default else "drop", packet, states=states)


def _end(action: str, argument: str, packet: Packet) -> Verdict:
    if action == "fwd":
        address, _, port = argument.partition(",")
        return Verdict("fwd", packet, address, int(port or packet.target_port))
    return Verdict("pass" if action in PASSES else "drop", packet)


def _found(rule: Rule, states: tuple[State, ...]) -> State | None:
    name = rule.looks_for
    return next((one for one in states if name in (one.name, ":any")), None) if name else None


def translate(nat: Nat, packet: Packet) -> Packet:
    """libalias: incoming packets by the redirects, outgoing ones to the public address."""
    if packet.direction == "in":
        if packet.client:
            return replace(packet, target=packet.client)
        for to in nat.redirects:
            public = to.public or nat.ip
            if (
                to.proto in ("", packet.proto)
                and packet.target == public
                and to.public_port in (0, packet.target_port)
            ):
                port = to.port or packet.target_port
                return replace(packet, target=to.address, target_port=port)
        return packet
    # What came in through a redirection leaves through the same one.
    found = sorted(nat.redirects, key=lambda to: to.public != packet.asked_at)
    for to in found:
        if (
            to.proto in ("", packet.proto)
            and packet.source == to.address
            and to.port in (0, packet.source_port)
        ):
            port = to.public_port or packet.source_port
            return replace(packet, source=to.public or nat.ip, source_port=port)
    if packet.is_answer and packet.seen_by_nat:
        return packet
    # libalias takes a reply to a packet that it never saw for the start of a new connection.
    port = NAT_PORT + packet.source_port % 1000 if packet.is_answer else packet.source_port
    return replace(packet, source=nat.ip, source_port=port)


def parse_nat(number: int, words: list[str]) -> Nat:
    """The words after `config`. ValueError for a word that ipfw would not know."""
    rest, ip = list(words), ""
    redirects: list[Redirect] = []
    while rest:
        word = rest.pop(0)
        if word == "ip" and rest:
            ip = rest.pop(0)
        elif word == "redirect_port" and len(rest) >= 3:
            proto, (address, _, port) = rest.pop(0), rest.pop(0).partition(":")
            public, _, public_port = rest.pop(0).rpartition(":")
            redirects.append(Redirect(proto, address, int(port), public, int(public_port)))
        elif word == "redirect_addr" and len(rest) >= 2:
            redirects.append(Redirect("", rest.pop(0), 0, rest.pop(0), 0))
        elif word == "if" and rest:
            rest.pop(0)
        elif word not in ("same_ports", "log", "deny_in", "reset", "unreg_only"):
            raise ValueError(word)
    plain, *redirections = " ".join(words).split(" redirect_")
    shown = " redirect_".join([plain, *reversed(redirections)])
    text = f"ipfw nat {number} config {shown}"
    return Nat(number, text, ip, tuple(redirects))
