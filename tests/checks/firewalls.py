"""The host's own ipfw rules: which of them would keep packets from ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from operations.facts import Rule, Rules
from rollout.site import Listen, Proto, Site

# Behind a rule with one of these the search is over, or goes on behind ours.
_ENDS = ("allow", "fwd", "nat", "divert", "tee", "skipto", "pipe", "queue", "netgraph", "ngtee")
_DENIES = ("deny", "reject", "reset", "unreach")
_LOOPBACK = IPv4Address("127.0.0.1")


@dataclass(frozen=True)
class Way:
    """A packet as it comes in: to which address and port, and on which interface."""

    proto: Proto
    address: IPv4Address
    port: int
    interface: str

    def __str__(self) -> str:
        on = "" if self.interface != "lo0" else " from the host itself"
        return f"{self.address}:{self.port}/{self.proto}{on}"


def obstacles(site: Site, listed: Sequence[str], *, ends_at_nat: bool) -> list[str]:
    """A sentence for each rule of the host that keeps packets from our rules, or ours from theirs.

    `listed` is what `ipfw -S list` prints; `ends_at_nat` is net.inet.ip.fw.one_pass.
    """
    ours = {place.set for place in site.places.values()}
    first, last = site.firewall.first_rule, max(place.number for place in site.places.values())
    theirs = [rule for rule in Rules().process(list(listed)) if rule.set not in ours]
    theirs = [rule for rule in theirs if rule.enabled and rule.number < 65535]
    return [
        *_before(site, [rule for rule in theirs if rule.number < first], last),
        *_nats(site, theirs, ends_at_nat=ends_at_nat),
    ]


def _before(site: Site, rules: Sequence[Rule], last: int) -> Iterator[str]:
    for rule in rules:
        word, argument = (*rule.body.split(), "")[:2]
        behind = word != "skipto" or not argument.isdigit() or int(argument) > last
        caught = next((way for way in _ways(site) if catches(rule.body, way)), None)
        if word in _ENDS and behind and caught:
            needed = len(site.places)
            todo = f"set first_rule to {rule.number - needed} or less"
            if rule.number <= needed:
                todo = f"set first_rule = 1, and give the host's rule a number above {needed}"
            yield (
                f"ipfw rule {rule.number} ({rule.body}) stands before Cellblock's rules and takes "
                f"packets to {caught}, which would not reach the jail: in [firewall], {todo}"
            )


def _nats(site: Site, rules: Sequence[Rule], *, ends_at_nat: bool) -> Iterator[str]:
    wan = Way("tcp", site.host.wan_address, 40000, site.host.wan_interface)
    natted = any(site.jails[name].outbound == "nat" for name in site.built)
    egress = natted and "egress" in site.order
    udp = any(listen.proto == "udp" for _, listen in _moved(site))
    for rule in rules:
        word = rule.body.split()[0]
        if egress and word in ("nat", "divert") and catches(rule.body, wan):
            yield (
                f"ipfw rule {rule.number} ({rule.body}) is nat of the host's own: Cellblock's nat "
                "for connections out of jails would take its answers; take egress out of `order`, "
                'or set outbound = "none" or "public" for the jails'
            )
        if (egress or udp) and not ends_at_nat and word in _DENIES:
            yield (
                f"sysctl net.inet.ip.fw.one_pass is 0, so what leaves Cellblock's nat is searched "
                f"for again, and ipfw rule {rule.number} ({rule.body}) may drop it: set it to 1, "
                "in /etc/sysctl.conf, too"
            )
            return


def blocks(site: Site, listed: Sequence[str]) -> list[str]:
    """The host's rules after ours that deny some clients a public port, which ours let in."""
    ours = {place.set for place in site.places.values()}
    after = max(place.number for place in site.places.values())
    public = [way for way in _ways(site) if way.interface != "lo0"]
    return [
        f"{rule.number} {rule.body}"
        for rule in Rules().process(list(listed))
        if rule.enabled and rule.set not in ours and rule.number > after
        if rule.body.split()[0] in _DENIES and not re.search(r" from (any|me) ", rule.body)
        if any(catches(rule.body, way) for way in public)
    ]


def _moved(site: Site) -> Iterator[tuple[str, Listen]]:
    for name in site.order:
        if name in site.services:
            yield from ((name, listen) for listen in site.services[name].ports)


def _ways(site: Site) -> Iterator[Way]:
    """What our rules have to get: from outside, and from the host's own programs."""
    wan = site.host.wan_address
    for _, listen in _moved(site):
        if listen.public:
            yield Way(listen.proto, wan, listen.port, site.host.wan_interface)
        yield Way(listen.proto, wan, listen.port, "lo0")
        if listen.proto == "tcp":
            yield Way("tcp", _LOOPBACK, listen.port, "lo0")


_BODY = re.compile(r"(?:log (?:logamount \d+ )?)?(\S+) from (.+?) to (.+)")


def catches(body: str, way: Way) -> bool:
    """Whether a rule may take such a packet from some client. What is not understood may.

    A packet on lo0 comes from the host itself; any other one does not.
    """
    words = body.split()
    rest = " ".join(words[2:] if words[0] in (*_ENDS[1:], "unreach") else words[1:])
    found = _BODY.fullmatch(rest)
    if found is None:
        return False  # check-state, count of nothing
    proto, source, target = found.groups()
    if proto not in ("ip", "ip4", "all", way.proto):
        return False
    own = way.interface == "lo0"
    sender = source.split()[0]
    if sender == "me" and not own:
        return False
    if own and not _may_be(sender, way.address):
        return False
    return _target(target.split(), way)


def _target(words: Sequence[str], way: Way) -> bool:
    negated = words[0] == "not"
    place, *options = words[negated:]
    if not negated and not _may_be(place, way.address):
        return False
    if options[:1] == ["dst-port"]:
        options = options[1:]
    if options and options[0][0].isdigit() and not _has_port(options.pop(0), way.port):
        return False
    for word, value in zip(options, [*options, ""][1:], strict=True):
        if word in {"out", "xmit"}:
            return False
        if word in ("via", "recv") and value != way.interface:
            return False
    return True


def _may_be(word: str, address: IPv4Address) -> bool:
    """Whether an address, a list of them, or a word for some may stand for this one."""
    for each in word.split(","):
        try:
            if ip_address(address) in ip_network(each, strict=False):
                return True
        except ValueError:
            if each not in ("me6",):
                return True
    return False


def _has_port(ports: str, port: int) -> bool:
    ranges = (part.partition("-") for part in ports.split(","))
    return any(int(low) <= port <= int(high or low) for low, _, high in ranges)
