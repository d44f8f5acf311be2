"""Our rules among a host's own: who reached the daemon reaches the jail, and nobody else.

The host's rules are judged by the stand-in's model of ipfw, which knows nothing of ours.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from itertools import product

import pytest

from operations.doors import Beside, Doors, Exits, Tried, View, Ways
from operations.facts import Bound, Rule
from operations.host_decisions import Obstacle, of_host
from operations.placing import Placed
from standin.model.firewall import Firewall, parse_nat
from standin.model.rules import Packet, parse

WAN, SECOND, INSIDE = "203.0.113.2", "203.0.113.3", "192.168.7.1"
OWN = (WAN, SECOND, INSIDE)
LAN = "10.80.0.0/24"
JAIL, OTHER_JAIL = "10.80.0.4", "10.80.0.5"
FURTHER = {SECOND: "10.80.0.254", INSIDE: "10.80.0.253"}
"""Where the jail answers them over UDP: the last addresses of its network."""
OURS = {*OWN, "127.0.0.1", JAIL, OTHER_JAIL, *FURTHER.values()}
NAT = 3
BESIDE = Beside((20, 29), 2, WAN, LAN, (LAN,), (JAIL, OTHER_JAIL))
BANNED, OFFICE, ANYBODY = "198.51.100.7", "192.0.2.10", "198.51.100.9"
TABLES = {"table(1)": {BANNED}, "table(2)": {OFFICE}}
PORT = {"tcp": 80, "udp": 53}


def doors(proto: str, *, public: bool = True) -> Ways:
    ports = ((proto, PORT[proto], public),)
    kinds = ("all", "answers") if proto == "udp" else ("all",)
    each = [Doors(what, JAIL, NAT, ports, (), (OTHER_JAIL,), 3) for what in kinds]  # type: ignore[arg-type]
    return Ways("service", tuple(each), BESIDE)


def placed(
    host: Sequence[str], proto: str, *, public: bool = True, one_pass: bool = True
) -> list[Placed]:
    return doors(proto, public=public).placed(_view(host, one_pass=one_pass))


def _view(host: Sequence[str], *, one_pass: bool = True) -> View:
    listed = [
        Rule(int(number), 0, body) for number, _, body in (row.partition(" ") for row in host)
    ]
    wall = of_host(listed, ends_at_nat=one_pass, floor=BESIDE.floor)
    return View(wall, tuple(map(IPv4Address, OWN)))


def firewall(host: Sequence[str], ours: Sequence[Placed] = ()) -> Firewall:
    """As ipfw would have it: the host's rules first, then ours, which are added later."""
    found = Firewall(accepts_by_default=True)
    rows = [*host, *(f"{number} set 20 {body}" for number, body in ours)]
    for row in rows:
        if not row.startswith("65535 "):
            found.add(parse(row.split(), 0))
        else:
            found.accepts_by_default = row.split()[1] == "allow"
    [config] = doors("udp").nats(_view(())).values()
    found.nats = {NAT: parse_nat(NAT, config.split())}
    return found


def _member(word: str, address: str) -> bool:
    return address in (OURS if word == "me" else TABLES[word])


def answered(wall: Firewall, client: str, address: str, proto: str, *, one_pass: bool) -> str:
    """Who answers a client on another machine: "host", "jail", or "" for nobody."""
    nic = "vlan0" if address == INSIDE else "vtnet0"
    port = PORT[proto]

    def judged(packet: Packet) -> tuple[str, Packet]:
        verdict = wall.judge(packet, _member, ends_at_nat=one_pass)
        if verdict.kind == "drop":
            return "", packet
        to = verdict.next_hop or verdict.packet.target
        who = "jail" if to in (JAIL, *FURTHER.values()) else "host"
        states = verdict.states
        return who, Packet(**{**vars(verdict.packet), "states": states})

    first = Packet(proto, client, 40000, address, port, "in", nic, nic)
    who, seen = judged(first)
    if not who:
        return ""
    inside = seen.target if who == "jail" and proto == "udp" else address
    assert proto == "tcp" or who == "host" or inside == FURTHER.get(address, JAIL)
    out = Packet(
        *(proto, inside, port, client, 40000, "out", nic, ""),
        is_answer=True,
        states=seen.states,
        seen_by_nat=inside != address,
        asked_at=address,
    )
    back, answer = judged(out)
    if not back or answer.source != address:
        return ""
    third = Packet(*(proto, client, 40000, address, port, "in", nic, nic), True, True, seen.states)
    third = Packet(**{**vars(third), "is_answer": False})
    return who if proto == "udp" or judged(third)[0] == who else ""


CLIENTS = (BANNED, OFFICE, ANYBODY)


def differences(host: Sequence[str], proto: str, *, one_pass: bool = True) -> list[str]:
    """Clients for whom the jail does not answer as the host did."""
    ours = placed(host, proto, one_pass=one_pass)
    before, after = firewall(host), firewall(host, ours)
    wrong = []
    for client, address in product(CLIENTS, OWN):
        was = answered(before, client, address, proto, one_pass=one_pass)
        now = answered(after, client, address, proto, one_pass=one_pass)
        if now != was.replace("host", "jail"):
            wrong.append(f"{client} at {address}: {was or 'nobody'}, then {now or 'nobody'}")
    return wrong


LO0 = "100 allow ip from any to any via lo0"
KINDS = {
    "none": ["65535 allow ip from any to any"],
    "open": [LO0, "200 deny ip from any to 127.0.0.0/8", "65000 allow ip from any to any"],
    "a banned address": [LO0, f"300 deny ip from {BANNED} to any", "1000 allow ip from any to any"],
    "a table first": ["50 deny ip from table(1) to any", LO0, "65000 allow ip from any to any"],
    "a table after check-state": [
        *(LO0, "200 check-state :default", "300 deny ip from table(1) to any"),
        "400 allow tcp from any to me 22,80 in via vtnet0 setup keep-state :default",
        "410 allow udp from any to me 53 in keep-state :default",
        "420 allow ip from me to any out keep-state :default",
        "65535 deny ip from any to any",
    ],
    "the Handbook's": [
        *("10 allow ip from any to any via lo0", "101 check-state :default"),
        "200 allow tcp from me to any out via vtnet0 setup keep-state :default",
        "400 allow tcp from any to me 22,25,53,80 in via vtnet0 setup keep-state :default",
        "410 allow udp from any to me 53 in via vtnet0 keep-state :default",
        "999 deny log ip from any to any",
    ],
    "a ban that cuts what is established": [
        *(LO0, "200 check-state :default", "201 deny tcp from any to any established"),
        "300 allow tcp from any to me 80 in setup keep-state :default",
        "310 allow udp from any to me 53 in keep-state :default",
        "65535 deny ip from any to any",
    ],
    "client": [
        *(LO0, "600 allow ip from me to 192.0.2.0/24", "700 allow ip from 192.0.2.0/24 to me"),
        "800 allow tcp from any to any established",
        "900 allow ip from any to any frag",
        "1000 allow tcp from any to me 80 setup",
        "1100 allow tcp from me to any setup",
        "1200 deny tcp from any to any setup",
        "1300 allow udp from me to any 53 keep-state :default",
        "65535 deny ip from any to any",
    ],
    "simple": [
        *(LO0, "400 deny ip from 192.168.7.0/24 to any in via vtnet0"),
        "500 deny ip from any to table(1) via vtnet0",
        "600 deny ip from table(1) to any via vtnet0",
        "700 allow tcp from any to any established",
        "800 allow tcp from any to me 80 setup",
        "900 allow udp from any to me 53",
        "1000 allow udp from me 53 to any",
        "1100 deny log ip4 from any to any in via vtnet0 setup",
        "1200 allow tcp from any to any setup",
        "65535 deny ip from any to any",
    ],
    "workstation": [
        *(LO0, "400 check-state :default", "500 allow tcp from me to any established"),
        "600 allow tcp from me to any setup keep-state :default",
        "700 allow udp from me to any keep-state :default",
        "800 allow tcp from 192.0.2.0/24 to me 80",
        "900 allow udp from 192.0.2.0/24 to me 53",
        "65535 deny ip from any to any",
    ],
    "only the office": [
        *(LO0, "200 check-state :default"),
        "300 allow tcp from 192.0.2.0/24 to me 80 setup keep-state :default",
        "310 allow udp from table(2) to me 53 keep-state :default",
        "999 deny ip from any to any",
    ],
    "a friend before the ban": [
        *(LO0, f"200 allow ip from {BANNED} to {SECOND}", "300 deny ip from table(1) to any"),
        "65000 allow ip from any to any",
    ],
    "one card alone": [
        *(LO0, "300 allow tcp from any to any 80 in recv vlan0"),
        "310 allow udp from any to any 53 in recv vlan0",
        "320 allow ip from me to any out",
        "330 allow tcp from any to any in recv vlan0 established",
        "999 deny ip from any to any",
    ],
    "answers that are denied": [
        *(LO0, f"300 deny ip from any to {BANNED} out", "1000 allow ip from any to any"),
    ],
    "skipto": [
        *(
            LO0,
            "200 skipto 5000 ip from any to any in recv vlan0",
            "300 deny ip from table(1) to any",
        ),
        *("1000 allow ip from any to any", "5001 allow tcp from any to any 80 in"),
        *("5010 allow udp from any to any 53 in", "5020 deny ip from any to any"),
    ],
    "one number after the other": [
        *(LO0, "101 deny ip from table(1) to any", "102 allow tcp from any to me 80"),
        *("103 allow udp from any to me 53", "104 allow ip from me to any"),
        "105 deny ip from any to any",
    ],
}


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("kind", KINDS)
def test_who_reached_the_host_reaches_the_jail_and_nobody_else(kind: str, proto: str) -> None:
    assert differences(KINDS[kind], proto) == []


def test_rules_before_all_of_the_hosts_would_let_in_whom_it_denies() -> None:
    """As an earlier version had them; the comparison above sees it."""
    early = [(1, f"fwd {JAIL},80 tcp from any to {','.join(OWN)} 80 in")]
    host = KINDS["a banned address"]
    assert answered(firewall(host), BANNED, WAN, "tcp", one_pass=True) == ""
    assert answered(firewall(host, early), BANNED, WAN, "tcp", one_pass=True) == "jail"


WORKSTATION = [
    *(LO0, "400 check-state :default", "500 allow tcp from me to any established"),
    "600 allow tcp from me to any setup keep-state :default",
    "700 allow udp from me to any keep-state :default",
    "800 allow udp from any to me 53",
    "65500 deny ip from any to any",
]


def test_nat_for_connections_leaves_the_answers_of_a_service_alone() -> None:
    """A state's rule stands early: before it, the answers got the wrong port."""
    host = Ways("egress", (Exits(((JAIL, "53"),), 9, "vtnet0", "32768-65535"),), BESIDE)
    found = [
        *(f"{number} {body}" for number, body in host.placed(_view(WORKSTATION))),
        *(f"{number} {body}" for number, body in placed(WORKSTATION, "udp")),
    ]
    udp = [row for row in found if f"udp from {JAIL}" in row and "lo0" not in row]
    assert udp == [
        f"699 nat 9 udp from {JAIL} not 53 to not {LAN} out xmit vtnet0",
        f"399 nat 9 udp from {JAIL} not 53 to not {LAN} out xmit vtnet0",
        f"699 nat {NAT} udp from {JAIL} 53 to not {LAN} out",
    ]


ON_LO1 = IPv4Address("10.99.0.1")
"""Of another jail of the host, say, in which it is 127.0.0.1, too."""


def over_lo1(*host: str, proto: str = "tcp") -> list[str]:
    """The rules for what is sent to an address of lo1 over that loopback."""
    routes = ((IPv4Network(f"{ON_LO1}/32"), "lo1"), (IPv4Network(f"{WAN}/32"), "lo0"))
    view = replace(_view(host), own=(*map(IPv4Address, OWN), ON_LO1), routes=routes)
    found = doors(proto).placed(view)
    return [f"{number} {body}" for number, body in found if "lo1" in body]


def test_an_address_of_a_further_loopback_is_led_where_the_host_lets_it() -> None:
    lets = "110 allow ip from any to any via lo1"
    into = f"109 fwd {JAIL},80 tcp from any to {ON_LO1} 80 in recv lo1"
    deny = "65535 deny ip from any to any"
    assert over_lo1(LO0, lets, "65000 allow tcp from any to me 80", deny) == [into]
    assert over_lo1(LO0, "300 allow tcp from any to any 80 in via vtnet0", deny) == []
    some = "105 deny ip from 10.99.0.1 to 203.0.113.2 via lo1"
    assert over_lo1(LO0, some, lets, deny) == [into], "to another address"


def test_one_that_is_let_in_part_is_refused() -> None:
    rules = ("110 allow ip from any to 10.99.0.1 in via lo1", "65535 deny ip from any to any")
    with pytest.raises(Obstacle, match="ipfw add 100 allow ip from any to any via lo1"):
        over_lo1(LO0, *rules)


SPOOFED = [
    *(LO0, "500 deny ip from any to table(13) via vtnet0"),
    "600 deny ip from 172.16.0.0/12,10.0.0.0/8 to any out via vtnet0",
    "700 deny ip from table(13) to any via vtnet0",
    "800 allow ip from any to any",
]


def test_jails_leave_where_private_addresses_may_not() -> None:
    """By nat they have the host's address; `simple` of rc.firewall denies private ones."""
    assert [row for row in outward(*SPOOFED) if " out " in row] == [
        f"599 nat 9 tcp from {JAIL} to not {LAN} out xmit vtnet0",
        f"599 nat 9 udp from {JAIL} to not {LAN} out xmit vtnet0",
    ]
    assert (599, f"nat {NAT} udp from {JAIL} 53 to not {LAN} out") in placed(SPOOFED, "udp")


def test_a_rule_that_denies_others_behind_it_is_named() -> None:
    rule = "750 deny ip from any to 192.0.2.66 out"
    with pytest.raises(Obstacle, match=r"rule 600 .* and ipfw rule 750 .* below 600"):
        outward(*SPOOFED[:4], rule, SPOOFED[4])


OUT = Ways("egress", (Exits(((JAIL, ""),), 9, "vtnet0", "32768-65535"),), BESIDE)


def outward(*host: str) -> list[str]:
    found = OUT.placed(_view(host))
    return [f"{number} {body}" for number, body in found if "icmp" not in body]


def test_a_jail_opens_the_connections_that_the_host_may_open() -> None:
    assert outward(
        LO0,
        "200 check-state :default",
        "300 allow tcp from me to any 25,80 out setup keep-state :default",
        "310 allow udp from me to any 53 out keep-state :default",
        "999 deny ip from any to any",
    ) == [
        f"299 nat 9 tcp from {JAIL} to any 25,80 out xmit vtnet0 setup",
        f"199 nat 9 tcp from {JAIL} to any 25,80 out xmit vtnet0 established",
        f"199 nat 9 tcp from any 25,80 to {WAN} 32768-65535 in recv vtnet0 established",
        f"309 nat 9 udp from {JAIL} to any 53 out xmit vtnet0",
        f"199 nat 9 udp from {JAIL} to any 53 out xmit vtnet0",
        f"199 nat 9 udp from any 53 to {WAN} 32768-65535 in recv vtnet0",
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ([LO0, "300 allow ip from any to any"], []),
        (
            [
                LO0,
                "200 check-state :default",
                "300 allow tcp from me to any out setup keep-state :default",
                "999 deny ip from any to any",
            ],
            [(998, f"allow tcp from {WAN} 8999 to any out established")],
        ),
        (
            [LO0, "300 deny tcp from me to 192.0.2.0/24 out", "400 allow ip from any to any"],
            [],
        ),
    ],
)
def test_a_port_of_a_trial_answers_where_no_state_would_let_it(
    host: list[str], expected: list[Placed]
) -> None:
    assert Ways("egress", (Tried(8999, 9),), BESIDE).placed(_view(host)) == expected


def test_a_jail_opens_them_as_the_users_that_the_host_lets() -> None:
    """Against spam: port 25 for the mail server's user alone."""
    assert outward(
        LO0,
        "200 allow tcp from me to any 25 out uid mailnull",
        "210 deny tcp from any to any 25 out",
        "65000 allow ip from any to any",
    ) == [
        f"199 nat 9 tcp from {JAIL} to any 25 out xmit vtnet0 uid mailnull",
        f"64999 nat 9 tcp from {JAIL} to not {LAN} out xmit vtnet0",
        f"64999 nat 9 tcp from any to {WAN} 32768-65535 in recv vtnet0 established",
        f"64999 nat 9 udp from {JAIL} to not {LAN} out xmit vtnet0",
        f"64999 nat 9 udp from any to {WAN} 32768-65535 in recv vtnet0",
    ]


LISTENERS = (
    "400 deny tcp from any to 203.0.113.2 33060 in",
    "410 deny udp from any to me 40000-40099,53211 in",
    "420 deny udp from table(banned) to me 50000 in",
)


def test_a_port_that_the_host_denies_is_not_opened_by_nat() -> None:
    found = outward(LO0, *LISTENERS, "65000 allow ip from any to any")
    assert [each for each in found if " in recv " in each] == [
        f"64999 nat 9 tcp from any to {WAN} 32768-33059,33061-65535 in recv vtnet0 established",
        f"64999 nat 9 udp from any to {WAN} 32768-39999,40100-53210,53212-65535 in recv vtnet0",
    ], "directly before what lets the others in, and so behind the banned addresses"


def test_nor_where_nat_comes_before_because_of_a_state() -> None:
    found = outward(
        LO0,
        "200 check-state :default",
        "310 allow udp from me to any 53 out keep-state :default",
        *LISTENERS,
        "999 deny ip from any to any",
    )
    assert [each for each in found if " in recv " in each] == [
        f"199 nat 9 udp from any 53 to {WAN} "
        "32768-39999,40100-49999,50001-53210,53212-65535 in recv vtnet0",
    ]


def test_a_rule_that_denies_all_high_ports_leaves_the_answers_of_a_state() -> None:
    found = outward(
        LO0,
        "200 check-state :default",
        "310 allow udp from me to any 53 out keep-state :default",
        "400 deny udp from any to me 1024-65535 in",
        "999 deny ip from any to any",
    )
    assert f"199 nat 9 udp from any 53 to {WAN} 32768-65535 in recv vtnet0" in found


@pytest.mark.parametrize("rule", ["50 nat 123 ip4 from any to any via vtnet0"])
def test_nat_of_the_hosts_own_and_jails_that_use_ours_are_refused(rule: str) -> None:
    with pytest.raises(Obstacle, match=r"ipfw rule 50 .* is nat of the host's own"):
        outward(LO0, rule, "65000 allow ip from any to any")


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("400 allow tcp from any to me 80 in setup limit src-addr 2 :default", "limits how many"),
        ("400 pipe 1 tcp from any to me 80 in", "limits their bandwidth"),
        ("400 allow tcp from any to me 80 in uid www", "does not understand .*uid www"),
        ("400 allow { tcp or udp } from any to me 80 in", "does not understand .*its form"),
        ("400 call 500 tcp from any to me 80 in", "does not know what call does"),
        ("400 skipto tablearg tcp from any to me 80 in", "does not understand .*tablearg"),
        ("1 allow ip from any to any", "no number is left .*first_rule = 1"),
    ],
)
def test_what_ours_could_not_keep_is_refused_with_the_rule(rule: str, why: str) -> None:
    host = [
        *sorted([LO0, rule], key=lambda row: int(row.split()[0])),
        "65000 allow ip from any to any",
    ]
    with pytest.raises(Obstacle, match=why) as refused:
        placed(host, "tcp")
    assert str(refused.value).startswith("ipfw rule ")


def test_a_port_that_the_host_denies_to_everybody_stays_denied() -> None:
    host = [LO0, "101 deny ip from any to any 80", "65000 allow ip from any to any"]
    assert differences(host, "tcp") == []


def test_shaped_packets_reach_the_jail_where_the_search_goes_on() -> None:
    host = [LO0, "400 pipe 1 tcp from any to me 80 in", "65000 allow ip from any to any"]
    assert differences(host, "tcp", one_pass=False) == []


def test_nat_of_the_hosts_own_does_not_see_the_answers_of_forwarded_connections() -> None:
    host = [LO0, "400 nat 123 ip4 from any to any via vtnet0", "65000 allow ip from any to any"]
    answers = f"399 allow tcp from {','.join(OWN)} 80 to any out established"
    assert answers in [f"{number} {body}" for number, body in placed(host, "tcp")]


INGREDIENTS = [
    "deny ip from table(1) to any",
    f"deny ip from {BANNED} to any in",
    f"deny ip from any to {BANNED} out",
    "deny tcp from table(1) to me 80",
    f"deny tcp from any to {SECOND} 80",
    "deny ip from any to any in recv vlan0",
    "deny tcp from any to any established",
    "deny tcp from any to any 80 in setup",
    "deny ip from any to any frag",
    "unreach port udp from table(1) to me 53",
    "deny ip from not 192.0.2.0/24 to any 80,53 in",
    "reset tcp from any to me 113",
    "check-state :default",
    "check-state :web",
    "count ip from any to any",
    "allow ip from 192.0.2.0/24 to any",
    "allow ip from table(2) to me",
    "allow tcp from any to any established",
    "allow tcp from any to me 22,80 in setup",
    "allow tcp from any to me 80 in setup keep-state :web",
    "allow tcp from any to me 80 in via vtnet0 setup keep-state :default",
    f"allow tcp from any to {WAN} 80",
    "allow tcp from 192.0.2.0/24 to me 80 in",
    "allow udp from any to me 53 in keep-state :default",
    "allow udp from any to me 53",
    "allow udp from me 53 to any out",
    "allow ip from me to any out",
    "allow ip from me to any out keep-state :default",
    "allow ip from any to any",
    "allow ip from any to any via vlan0",
    "skipto 30000 tcp from any to me 80 in",
    "skipto 40000 ip from any to any out",
]


def drawn(seed: int) -> Iterator[str]:
    draw = random.Random(seed)
    numbers = sorted(draw.sample(range(101, 60000, 7), draw.randint(1, 9)))
    yield LO0
    for number in numbers:
        body = draw.choice(INGREDIENTS)
        if not body.startswith("skipto") or int(body.split()[1]) > number:
            yield f"{number} {body}"
    yield f"65535 {draw.choice(['allow', 'deny'])} ip from any to any"


def test_rule_sets_drawn_at_random_decide_as_before() -> None:
    refused = 0
    for seed in range(300):
        host = list(drawn(seed))
        for proto in ("tcp", "udp"):
            try:
                assert differences(host, proto) == [], (seed, proto, host, placed(host, proto))
            except Obstacle as obstacle:
                refused += 1
                assert re.search(r"ipfw rule \d+ \(.+\)", str(obstacle))
    assert refused < 60


@pytest.mark.parametrize(("kind", "one_pass"), [*((each, True) for each in KINDS), ("open", False)])
def test_from_a_further_address_of_a_jail_nothing_comes_but_answers(
    kind: str, *, one_pass: bool
) -> None:
    """Whatever the host's rules let pass on lo0: the policy knows the jail by its first address."""
    wall = firewall(KINDS[kind], placed(KINDS[kind], "udp", one_pass=one_pass))
    further, other = FURTHER[SECOND], OTHER_JAIL

    def passes(proto: str, source: tuple[str, int], target: tuple[str, int], card: str) -> bool:
        """Out, and in again what stays on this machine."""
        for direction in ("out", "in") if card == "lo0" else ("out",):
            card_in = card if direction == "in" else ""
            packet = Packet(proto, *source, *target, direction, card, card_in)
            if wall.judge(packet, _member, ends_at_nat=one_pass).kind == "drop":
                return False
        return True

    wrong = [
        (proto, source, target, card)
        for proto, port in (("tcp", 40000), ("tcp", 53), ("udp", 40000), ("icmp", 0), ("gre", 0))
        for target, card in ((other, "lo0"), (WAN, "lo0"), (JAIL, "lo0"), (ANYBODY, "vtnet0"))
        for source in (further, target)
        if source == further or card == "lo0"
        if passes(proto, (source, port), (target if source == further else further, 22), card)
    ]
    wrong += [
        ("udp", further, each, "lo0")
        for each in (other, JAIL)
        if passes("udp", (further, 53), (each, 53), "lo0")
    ]
    assert wrong == []
    from_outside = Packet("tcp", ANYBODY, 40000, further, 22, "in", "vtnet0", "vtnet0")
    assert wall.judge(from_outside, _member, ends_at_nat=one_pass).kind == "drop"


def test_further_addresses_are_the_last_that_nobody_has() -> None:
    used = ("10.80.0.254", "10.80.0.252", "198.51.100.1")
    view = replace(_view(()), used=tuple(map(IPv4Address, used)))
    ways = doors("udp")
    assert list(map(str, ways.further(view)[JAIL].values())) == ["10.80.0.253", "10.80.0.251"]
    assert ways.nats(view) == {
        NAT: f"ip {WAN} same_ports redirect_addr {JAIL} {WAN} redirect_addr 10.80.0.253 {SECOND} "
        f"redirect_addr 10.80.0.251 {INSIDE} redirect_addr {JAIL} 127.0.0.1"
    }


def test_once_they_are_given_the_instance_says_which_they_are() -> None:
    """As ipfw prints it, last first; by then they are in use."""
    config = (
        f"ip {WAN} same_ports redirect_addr {JAIL} 127.0.0.1 redirect_addr 10.80.0.77 {SECOND} "
        f"redirect_addr {JAIL} {WAN}"
    )
    view = replace(_view(()), nats={NAT: config}, used=(IPv4Address("10.80.0.77"),))
    assert doors("udp").further(view)[JAIL] == {IPv4Address(SECOND): IPv4Address("10.80.0.77")}
    bodies = [body for _, body in doors("udp").placed(view)]
    assert "deny ip from 10.80.0.77 to any" in bodies
    assert f"nat {NAT} udp from 10.80.0.77 53 to not {LAN} out" in bodies


def test_two_services_of_a_jail_have_its_addresses_in_common_and_two_jails_have_not() -> None:
    ports = (("udp", 53, True),), (("udp", 5353, False),)
    each = [
        Doors("answers", jail, nat, port, (WAN, SECOND), (), 3)  # type: ignore[arg-type]
        for jail, nat, port in ((JAIL, 3, ports[0]), (JAIL, 4, ports[1]), (OTHER_JAIL, 5, ports[0]))
    ]
    ways = Ways("all", tuple(each), BESIDE)
    ends = [list(map(str, each.values())) for each in ways.ends(_view(())).values()]
    assert ends == [[JAIL, "10.80.0.254"], [JAIL, "10.80.0.254"], [OTHER_JAIL, "10.80.0.253"]]
    further = {jail: list(map(str, e.values())) for jail, e in ways.further(_view(())).items()}
    assert further == {JAIL: ["10.80.0.254"], OTHER_JAIL: ["10.80.0.253"]}
    assert [body for number, body in ways.placed(_view(())) if number == 2] == [
        f"skipto 3 udp from 10.80.0.254 53 to not {LAN} out",
        f"skipto 3 udp from 10.80.0.254 5353 to not {LAN} out via lo0",
        "deny ip from 10.80.0.254 to any",
        "deny ip from any to 10.80.0.254",
        f"skipto 3 udp from 10.80.0.253 53 to not {LAN} out",
        "deny ip from 10.80.0.253 to any",
        "deny ip from any to 10.80.0.253",
    ]


@pytest.mark.parametrize(("network", "fits"), [("10.80.0.0/29", True), ("10.80.0.4/30", False)])
def test_a_network_without_room_is_refused_with_what_to_write(network: str, *, fits: bool) -> None:
    beside = replace(BESIDE, network=network, apart=(network,))
    ways = replace(doors("udp"), beside=beside)
    [*told] = ways.obstacles(_view(()))
    assert fits == (told == [])
    if told:
        assert "lan.network = 10.80.0.4/30 has too few free addresses" in told[0]
        assert f"at 3 addresses of the host ({WAN}, {SECOND}, {INSIDE})" in told[0]
        assert "2 more that nobody has" in told[0]
        assert "give lan.network a shorter prefix" in told[0]
        with pytest.raises(Obstacle, match="too few free addresses"):
            ways.placed(_view(()))


def test_a_host_with_one_address_has_no_further_one_and_no_rule_for_it() -> None:
    alone = replace(_view(()), own=(IPv4Address(WAN),))
    assert doors("udp").further(alone) == {JAIL: {}}
    assert [number for number, _ in doors("udp").placed(alone) if number == 2] == []


@pytest.mark.parametrize("what", ["all", "localhost"])
def test_programs_of_the_host_find_the_jail_at_loopback_with_no_other_jail(what: str) -> None:
    """A site may have one jail; with None nothing leads there from 127.0.0.1."""
    for others, led in (((), True), (None, False)):
        way = Doors(what, JAIL, NAT, (("tcp", 3306, False),), (), others, 3)  # type: ignore[arg-type]
        view = View(of_host([], ends_at_nat=True, floor=2), (IPv4Address(WAN),))
        bodies = [body for _, body in way.placed(view, BESIDE, {})]
        assert (f"fwd {JAIL},3306 tcp from any to 127.0.0.1 3306" in bodies) == led


def test_answers_over_udp_leave_where_it_is_asked_at_loopback_alone() -> None:
    """As a named for the host's own programs: by then their address is the public one."""
    bound = (Bound("udp", "named", "127.0.0.1", 53),)
    view = View(of_host([], floor=2), (IPv4Address(WAN),), bound)
    found = doors("udp", public=False).placed(view)
    assert (64999, f"nat {NAT} udp from {JAIL} 53 to not {LAN} out via lo0") in found
