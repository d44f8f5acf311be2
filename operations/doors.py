"""What leads to a jail and out of it, as values: the rules follow from the host's own (placing)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Literal

from operations import facts, placing
from operations.facts import Bound, Rule
from operations.host_decisions import Firewall, Obstacle, Proto
from operations.placing_outward import Outward, outward

Ends = Mapping[IPv4Address, IPv4Address]
"""Addresses of the host, each with that of the jail which answers datagrams that are sent there."""


@dataclass(frozen=True)
class Beside:
    """What our rules have to know of all others.

    `sets` are the first and the last of ours; `floor` is the number of our last rule that comes
    before all of the host's. `wan` is the host's public address, `network` that of the jails, and
    the addresses in the networks of `apart` are those of jails. `taken` are those in `network` that
    the site file gives to somebody. `front` is the number of the rules that confine jails.
    """

    sets: tuple[int, int]
    floor: int
    wan: str
    network: str
    apart: tuple[str, ...]
    taken: tuple[str, ...] = ()
    front: int = 2

    def own(self, has: Iterable[IPv4Address]) -> tuple[IPv4Address, ...]:
        """Those of the host's addresses that are no jail's of ours, the public one first."""
        others = [ip_network(each) for each in self.apart]
        own = sorted(
            each
            for each in has
            if not each.is_loopback and not any(each in other for other in others)
        )
        return tuple(dict.fromkeys([IPv4Address(self.wan), *own]))


@dataclass(frozen=True)
class View:
    """The host as our rules find it.

    `own` are its addresses, without those of our jails; `bound` are the sockets at which its
    daemons listen, `ours` the rules of ours that are there already, `nats` all instances, and
    `apart` the networks of jails. `used` are all addresses that anybody has now, or at a boot.
    `routes` tell the interface that leads to a network, `inside` the sockets of daemons in jails
    that the host has of its own: at the other ports of their addresses the host's daemons answer.
    """

    wall: Firewall
    own: tuple[IPv4Address, ...]
    bound: tuple[Bound, ...] = ()
    ours: tuple[Rule, ...] = ()
    nats: Mapping[int, str] = field(default_factory=dict)
    apart: tuple[str, ...] = ()
    used: tuple[IPv4Address, ...] = ()
    routes: tuple[tuple[IPv4Network, str], ...] = ()
    inside: tuple[Bound, ...] = ()

    def redirected(self, nat: int) -> dict[IPv4Address, IPv4Address]:
        """Where an instance leads what is sent to the host's addresses, the public one first."""
        pairs = re.findall(r"redirect_addr ([\d.]+) ([\d.]+)", self.nats.get(nat, ""))
        ends = {IPv4Address(public): IPv4Address(end) for end, public in pairs}
        first = ends.keys() & set(self.own[:1])
        return {each: ends[each] for each in (*first, *sorted(ends.keys() - first))}

    def free(self, beside: Beside) -> Iterator[IPv4Address]:
        """The addresses in the network of the jails that nobody has, the last one first."""
        network = ip_network(beside.network)
        edge = int(network.prefixlen < 31)  # its first address, and broadcast
        taken = {*self.used, *map(IPv4Address, beside.taken)}
        first, last = int(network.network_address) + edge, int(network.broadcast_address) - edge
        every = map(IPv4Address, range(last, first - 1, -1))
        return (each for each in every if each not in taken)

    def served(self, doors: Doors, proto: Proto, port: int) -> tuple[tuple[IPv4Address, ...], bool]:
        """The addresses of the host at which a daemon serves a port, and whether 127.0.0.1 is one.

        When the daemon has moved, our rules still tell. A plan without a host takes all.
        """
        if moved := self._redirected(doors, proto, port):
            at = {each for each in moved if not each.is_loopback and not self._of_jails(each)}
            first = at.intersection(self.own[:1])
            return (*first, *sorted(at - first)), placing.LOOPBACK in moved
        sockets = [each for each in self.bound if (each.proto, each.port) == (proto, port)]
        public = {each.command for each in sockets if each.address in {"*", str(self.own[0])}}
        bound = {each.address for each in sockets if not public or each.command in public}
        taken = {each.address for each in self.inside if (each.proto, each.port) == (proto, port)}
        own = tuple(each for each in self.own if str(each) not in taken)
        if "*" in bound or not bound:
            return own, True
        return tuple(each for each in own if str(each) in bound), str(placing.LOOPBACK) in bound

    def loops(self, addresses: Iterable[IPv4Address]) -> dict[IPv4Address, str]:
        """The loopback of each of these that is not one of lo0 or of a network card."""
        cards = ((each, facts.way(str(each), self.routes)) for each in addresses)
        return {each: card for each, card in cards if card.startswith("lo") and card != "lo0"}

    def _of_jails(self, address: IPv4Address) -> bool:
        return any(address in ip_network(each) for each in self.apart)

    def _redirected(self, doors: Doors, proto: Proto, port: int) -> set[IPv4Address]:
        if doors.what == "answers":
            return set(self.redirected(doors.nat))
        into = re.escape(doors.into(proto, port))
        pattern = re.compile(rf"{into} {proto} from .+ to ([\d.,]+) {port}(?: .*)?")
        found = (pattern.fullmatch(rule.body) for rule in self.ours)
        return {IPv4Address(each) for match in found if match for each in match[1].split(",")}


@dataclass(frozen=True)
class Doors:
    """The ports of a service (protocol, number, whether it is public), and the jail behind them.

    `what` are the rules for all that leads there, for 127.0.0.1 alone, or for the answers over UDP.
    `nat` is the number of the instance for UDP. `addresses` are those of the host at which the
    service answers; all of them, if none are given. In the jails of `others`, 127.0.0.1 means the
    jail's own address; the rules for that have the number `front`. With None, nothing leads there
    from 127.0.0.1, not from the host's either.
    """

    what: Literal["all", "localhost", "answers"]
    jail: str
    nat: int
    ports: tuple[tuple[Proto, int, bool], ...]
    addresses: tuple[str, ...]
    others: tuple[str, ...] | None
    front: int

    def into(self, proto: Proto, port: int) -> str:
        """How the rules begin that lead to the jail."""
        return f"fwd {self.jail},{port}" if proto == "tcp" else f"nat {self.nat}"

    def placed(self, view: View, beside: Beside, ends: Ends) -> list[placing.Placed]:
        """The rules, with their numbers; `ends` are those of its instance. Raises Obstacle."""
        found: list[placing.Placed] = []
        jail = IPv4Address(self.jail)
        for proto, number, public in self.ports:
            addresses, local = self._at(view, proto, number)
            port = placing.Port(
                proto,
                number,
                public,
                jail,
                self.nat,
                IPv4Address(beside.wan),
                addresses,
                beside.network,
                tuple(dict.fromkeys([jail, *ends.values()])),
                view.loops(addresses),
            )
            found += self._of(view.wall, port, ends, local=local)
        return list(dict.fromkeys(found))

    def answering(self, network: str, loopbacks: Iterable[str]) -> Iterator[str]:
        """Its answers over UDP, behind the jail's address. Clients in the network of the jails
        asked the jail itself.
        """
        for proto, port, public in self.ports:
            if proto == "udp":
                for way in [""] if public else [f" via {loop}" for loop in loopbacks]:
                    yield f"{port} to not {network} out{way}"

    def over_udp(self, view: View) -> tuple[IPv4Address, ...]:
        """The addresses of the host at which it answers over UDP."""
        ports = [number for proto, number, _ in self.ports if proto == "udp"]
        return tuple(dict.fromkeys(each for one in ports for each in self._at(view, "udp", one)[0]))

    def _at(self, view: View, proto: Proto, number: int) -> tuple[tuple[IPv4Address, ...], bool]:
        served, local = view.served(self, proto, number)
        return tuple(map(IPv4Address, self.addresses)) or served, local

    def _of(
        self, wall: Firewall, port: placing.Port, ends: Ends, *, local: bool
    ) -> list[placing.Placed]:
        led = local and self.others is not None
        others = [IPv4Address(each) for each in self.others or ()] if led else None
        if self.what == "localhost":
            return list(placing.local(wall, replace(port, addresses=()), others, self.front))
        if self.what == "answers":
            if led and not port.addresses and port.proto == "udp":
                return list(placing.local_answers(wall, port))
            return _narrowed(_answers(wall, port, ends)) if port.proto == "udp" else []
        outside = list(placing.public(wall, port)) if port.public and port.addresses else []
        return _narrowed([*placing.local(wall, port, others, self.front), *outside])

    def nats(self, beside: Beside, ends: Ends) -> dict[int, str]:
        """Number -> configuration of the instance, which redirects at each address, and 127.0.0.1.

        Not redirect_port: once libalias has forgotten a client's port, it does not send the next
        query from that port to the jail (docs/decisions/0021).
        """
        if self.what != "answers":
            return {}
        here = {each: ends.get(each, self.jail) for each in (*ends, placing.LOOPBACK)}
        redirections = [f"redirect_addr {end} {each}" for each, end in here.items()]
        return {self.nat: " ".join([f"ip {beside.wan} same_ports", *redirections])}


def _answers(wall: Firewall, port: placing.Port, ends: Ends) -> Iterator[placing.Placed]:
    """Of each address of the jail, for those of the host at which it answers."""
    for end in port.ends:
        at = tuple(each for each in port.addresses if ends.get(each, port.jail) == end)
        if at:
            yield from placing.answers(wall, replace(port, jail=end, addresses=at))


def _narrowed(placed: Iterable[placing.Placed]) -> list[placing.Placed]:
    """Without rules for a loopback where the same rule takes what comes over any interface."""
    found = list(placed)
    local = re.compile(r" (recv|via) lo\d+$")
    return [
        (number, body)
        for number, body in found
        if not local.search(body) or (number, local.sub("", body)) not in found
    ]


@dataclass(frozen=True)
class Exits:
    """Jails whose connections to other hosts get the host's address by nat.

    Each has the UDP ports of its services, or "". libalias takes `ports` for them, to which the
    answers come, at `interface`.
    """

    jails: tuple[tuple[str, str], ...]
    nat: int
    interface: str
    ports: str

    def placed(self, view: View, beside: Beside, ends: Ends) -> list[placing.Placed]:
        """As for doors."""
        found: list[placing.Placed] = []
        for jail, serves in self.jails:
            way = Outward(
                IPv4Address(jail),
                self.nat,
                IPv4Address(beside.wan),
                self.interface,
                beside.network,
                self.ports,
                serves,
            )
            found += outward(view.wall, way)
            found += self._errors(found, jail, beside)
        return list(dict.fromkeys(found))

    def _errors(
        self, found: Sequence[placing.Placed], jail: str, beside: Beside
    ) -> Iterator[placing.Placed]:
        """ICMP, where TCP goes. Without "fragmentation needed" a transfer over a path with a
        smaller MTU would stall.
        """
        nat, interface = f"nat {self.nat}", self.interface
        for number, body in found:
            if body.startswith(f"{nat} tcp from {jail} "):
                to = f"not {beside.network} out xmit {interface}"
                yield number, f"{nat} icmp from {jail} to {to}"
                break
        for number, body in found:
            if body.startswith(f"{nat} tcp ") and f"in recv {interface}" in body:
                to = f"{beside.wan} in recv {interface}"
                yield number, f"{nat} icmp from any to {to} icmptypes 0,3,11"
                break

    def nats(self, beside: Beside, ends: Ends) -> dict[int, str]:
        return {self.nat: f"ip {beside.wan}"}


@dataclass(frozen=True)
class Tried:
    """A port that no service has, with which a transfer is tried; other rules lead there.

    `nat` is the instance of the part that it is of.
    """

    port: int
    nat: int

    def placed(self, view: View, beside: Beside, ends: Ends) -> list[placing.Placed]:
        """As for doors."""
        return list(placing.tried(view.wall, self.port, IPv4Address(beside.wan)))

    def nats(self, beside: Beside, ends: Ends) -> dict[int, str]:
        return {}


@dataclass(frozen=True)
class Ways:
    """The ways of one part of our rules. `name` is for people."""

    name: str
    each: tuple[Doors | Exits | Tried, ...]
    beside: Beside

    def placed(self, view: View) -> list[placing.Placed]:
        """The rules, with their numbers. Raises Obstacle."""
        ends = self.ends(view)
        rules = [rule for way in self.each for rule in way.placed(view, self.beside, ends[way.nat])]
        return [*self._confining(view, ends), *rules]

    def nats(self, view: View) -> dict[int, str]:
        ends, found = self.ends(view), dict[int, str]()
        for way in self.each:
            found |= way.nats(self.beside, ends[way.nat])
        return found

    def ends(self, view: View) -> dict[int, Ends]:
        """Nat instance -> where the host's addresses lead, in the jail. Raises Obstacle.

        libalias knows an answer by the jail's address and port and the client's: a second address
        of the host needs another one in the jail, or the answer may leave from the first
        (docs/decisions/0033). Once an instance is there, it says which; before, the last free ones
        in the network are taken.
        """
        found = {way.nat: view.redirected(way.nat) for way in self.each}
        free, given = view.free(self.beside), dict[tuple[str, IPv4Address], IPv4Address]()
        for way in self._answering():
            served = () if found[way.nat] else way.over_udp(view)
            for each in served[1:]:
                if (way.jail, each) not in given:
                    end = next(free, None)
                    if end is None:
                        raise Obstacle(self._crowded(served))
                    given[way.jail, each] = end
            if served:
                more = {each: given[way.jail, each] for each in served[1:]}
                found[way.nat] = {served[0]: IPv4Address(way.jail), **more}
        return {
            nat: {each: end for each, end in ends.items() if each != placing.LOOPBACK}
            for nat, ends in found.items()
        }

    def _answering(self) -> Iterator[Doors]:
        return (each for each in self.each if isinstance(each, Doors) and each.what == "answers")

    def _crowded(self, served: Sequence[IPv4Address]) -> str:
        return (
            f"lan.network = {self.beside.network} has too few free addresses: a service answers "
            f"over UDP at {len(served)} addresses of the host ({', '.join(map(str, served))}), and "
            f"in its jail each of these after the first needs one of its own, {len(served) - 1} "
            "more that nobody has: give lan.network a shorter prefix (a /24, say), or take "
            "addresses of that network that nobody uses out of rc.conf and jail.conf"
        )

    def further(self, view: View) -> dict[str, Ends]:
        """Jail (its primary address) -> the addresses of the host that have one of their own there.
        Raises Obstacle.
        """
        ends, found = self.ends(view), dict[str, Ends]()
        for way in self._answering():
            found[way.jail] = {**found.get(way.jail, {}), **self._more(way, ends)}
        return found

    @staticmethod
    def _more(way: Doors, ends: Mapping[int, Ends]) -> Ends:
        return {each: end for each, end in ends[way.nat].items() if str(end) != way.jail}

    def _confining(self, view: View, ends: Mapping[int, Ends]) -> Iterator[placing.Placed]:
        """From a further address of a jail nothing leaves but answers, and nothing is sent to it:
        the policy knows the jail by its first address. nat leads queries there behind these rules.
        """
        answers: dict[IPv4Address, list[str]] = {}
        for way in self._answering():
            more = self._more(way, ends)
            loopbacks = sorted({"lo0", *view.loops(more).values()})
            for end in more.values():
                led = way.answering(self.beside.network, loopbacks)
                answers[end] = [*answers.get(end, ()), *led]
        for end, each in answers.items():
            skip = f"skipto {self.beside.front + 1} udp from {end}"
            yield from ((self.beside.front, f"{skip} {answer}") for answer in each)
            yield self.beside.front, f"deny ip from {end} to any"
            yield self.beside.front, f"deny ip from any to {end}"

    def obstacles(self, view: View) -> list[str]:
        """What the host's firewall has in the way of them, one sentence for each thing."""
        found, ends = [], dict[int, Ends]()
        try:
            ends = self.ends(view)
        except Obstacle as obstacle:
            found.append(str(obstacle))
        for way in self.each:
            try:
                way.placed(view, self.beside, ends.get(way.nat, {}))
            except Obstacle as obstacle:
                found.append(str(obstacle))
        return list(dict.fromkeys(found))

    @property
    def ports(self) -> tuple[int, ...]:
        """All whose listeners decide on the rules."""
        doors = [each for each in self.each if isinstance(each, Doors)]
        return tuple(sorted({number for each in doors for _, number, _ in each.ports}))

    def __str__(self) -> str:
        return self.name
