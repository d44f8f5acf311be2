"""Cellblock's ipfw rules beside foreign ones."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any, Literal

import pytest
from pyinfra.api.exceptions import OperationError

from operations import firewall
from operations.command import Reversible
from operations.doors import Beside, Doors, View, Ways
from operations.facts import (
    Bound,
    HostRules,
    JailListeners,
    Kenv,
    Listeners,
    Module,
    Nats,
    OnePass,
    OwnAddresses,
    Routes,
    Rule,
    Rules,
    State,
    UsedAddresses,
)
from operations.facts import Path as At
from operations.host_decisions import of_host
from tests.unit.operations.asking import pairs, recorded, reversible, yielded

HTTP = "fwd 10.80.0.2,80 tcp from any to 203.0.113.2 80 in"
HTTPS = "fwd 10.80.0.2,443 tcp from any to 203.0.113.2 443 in"
NAT = "ip 203.0.113.2 same_ports redirect_addr 10.80.0.2 203.0.113.2"
LAST = Rule(65535, 31, "allow ip from any to any")
ACCEPT = "net.inet.ip.fw.default_to_accept"


def test_ipfw_is_told_to_accept_before_it_is_loaded() -> None:
    commands = reversible(firewall.loaded, {Module: False, Kenv: ""})
    assert pairs(commands) == [
        (f"kenv {ACCEPT}=1", f"kenv -q -u {ACCEPT} || true"),
        (
            "kldload ipfw",
            "if ipfw list >/dev/null 2>&1 && ! ipfw -S list | grep -qv '^65535 '; "
            "then kldunload ipfw; fi",
        ),
        (
            "kldload ipfw_nat",
            'if kldstat -q -m ipfw_nat && [ -z "$(ipfw nat show config)" ]; '
            "then kldunload ipfw_nat; fi",
        ),
    ]
    assert all(command.live for command in commands)


RECORDED = (Path(__file__).parents[2] / "contract" / "freebsd-13.2.json").read_text(
    encoding="utf-8"
)
ON_13_2 = "65535 set 31 allow ip from any to any"
ON_15_0 = f"65535 set 31 count ip from any to any not // orphaned dynamic states counter\n{ON_13_2}"
"""What `ipfw -S list` printed on a real 13.2 and a real 15.0 without any added rule."""


@pytest.mark.parametrize("without_rules", [ON_13_2, ON_15_0])
@pytest.mark.parametrize(
    ("more", "unloads"), [("", True), ("00050 set 0 count tcp from any to me 22 in\n", False)]
)
def test_ipfw_is_unloaded_while_it_has_the_kernels_own_rules_alone(
    without_rules: str, more: str, unloads: bool
) -> None:
    assert ON_13_2 in RECORDED
    undo = reversible(firewall.loaded, {Module: False, Kenv: ""})[1].undo
    stubs = 'ipfw() { printf \'%s\\n\' "$listed"; }; kldunload() { echo "unload $1"; }'
    done = subprocess.run(
        ["/bin/sh", "-euc", f"{stubs}; {undo}"],
        env={"listed": f"{more}{without_rules}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ("unload ipfw\n" if unloads else "")


def test_what_ipfw_was_told_before_is_told_again() -> None:
    commands = reversible(firewall.loaded, {Module: False, Kenv: "0"})
    assert commands[0].undo == f"kenv {ACCEPT}=0"


def test_a_loaded_ipfw_is_never_unloaded() -> None:
    assert reversible(firewall.loaded, {Module: True}) == []


def test_a_nat_instance_comes_and_goes_by_its_number() -> None:
    commands = reversible(firewall.nat, {Nats: {7: "ip 203.0.113.9"}}, number=52, config=NAT)
    assert pairs(commands) == [
        (
            f"ipfw -q nat 52 config {NAT}",
            "if ipfw list >/dev/null 2>&1; then ipfw -qf nat 52 delete; fi",
        )
    ]
    assert commands[0].live


def test_a_nat_instance_of_ours_is_not_configured_again() -> None:
    assert reversible(firewall.nat, {Nats: {52: NAT}}, number=52, config=NAT) == []


def test_ipfw_prints_the_redirections_last_first() -> None:
    """Seen on 15.0."""
    given = "ip 203.0.113.2 same_ports redirect_addr 10.80.0.2 203.0.113.2 redirect_addr {}"
    local = "10.80.0.2 127.0.0.1"
    printed = f"ip 203.0.113.2 same_ports redirect_addr {local} redirect_addr 10.80.0.2 203.0.113.2"
    assert (
        reversible(firewall.nat, {Nats: {52: printed}}, number=52, config=given.format(local)) == []
    )
    other = given.format("10.80.0.2 203.0.113.3")
    with pytest.raises(OperationError, match="ipfw nat 52 exists"):
        reversible(firewall.nat, {Nats: {52: printed}}, number=52, config=other)


def opened(*rules: Rule, doors: Doors, has: Sequence[str] = (), **more: Any) -> list[Reversible]:
    """What is typed on a host with these rules of its own and these addresses."""
    facts = {
        HostRules: rules,
        Nats: {},
        OnePass: True,
        OwnAddresses: tuple(IPv4Interface(each) for each in ("203.0.113.2", "127.0.0.1", *has)),
        JailListeners: more.get("inside", ()),
        Listeners: more.get("bound", ()),
        Rules: more.get("ours", ()),
        At: State(),
        Routes: (),
        UsedAddresses: tuple(map(IPv4Address, more.get("used", ()))),
    }
    beside = Beside((20, 29), 2, "203.0.113.2", "10.80.0.0/24", ("10.80.0.0/24", "203.0.113.20"))
    ways = Ways("bind", (doors,), beside)
    found = yielded(firewall.opened, facts, set=27, ways=ways, path="/answers.rules")
    return [each for each in found if isinstance(each, Reversible)]


ANSWERS = Doors("answers", "10.80.0.2", 3, (("udp", 53, True),), (), (), 3)


@pytest.mark.parametrize(
    ("given", "bound", "public"),
    [
        ((), (), ["192.168.7.1", "203.0.113.3"]),
        (("203.0.113.2", "203.0.113.3"), (), ["203.0.113.3"]),
        ((), ("*",), ["192.168.7.1", "203.0.113.3"]),
        ((), ("203.0.113.2", "192.168.7.1"), ["192.168.7.1"]),
    ],
)
def test_datagrams_are_redirected_where_the_daemon_listens(
    given: tuple[str, ...], bound: tuple[str, ...], public: list[str]
) -> None:
    """Or at the addresses that are given; never where a daemon in another jail listens. Each at one
    of its own in the jail.
    """
    has = ("10.80.0.3", "203.0.113.20", "203.0.113.3", "192.168.7.1", "203.0.113.40")
    sockets = tuple(Bound("udp", "named", each, 53) for each in bound)
    inside = (Bound("udp", "unbound", "203.0.113.40", 53),)
    doors = replace(ANSWERS, addresses=given)
    first = opened(LAST, doors=doors, has=has, bound=sockets, inside=inside)[0]
    ends = ["10.80.0.2", "10.80.0.254", "10.80.0.253"][: 1 + len(public)]
    pairs = zip([*ends, "10.80.0.2"], ["203.0.113.2", *public, "127.0.0.1"], strict=True)
    config = "".join(f" redirect_addr {end} {each}" for end, each in pairs)
    assert first.do == f"ipfw -q nat 3 config ip 203.0.113.2 same_ports{config}"


def test_a_network_without_room_for_a_further_address_is_refused() -> None:
    used = [f"10.80.0.{n}" for n in range(1, 255)]
    with pytest.raises(OperationError, match="has too few free addresses"):
        opened(LAST, doors=ANSWERS, has=["203.0.113.3"], used=used)


def test_another_programs_socket_at_the_port_is_not_the_daemons() -> None:
    """A proxy at 127.0.0.1:80, say, beside an Apache at the public address."""
    web = Doors("all", "10.80.0.4", 5, (("tcp", 80, True),), (), ("10.80.0.5",), 5)
    sockets = (Bound("tcp", "httpd", "203.0.113.2", 80), Bound("tcp", "nginx", "127.0.0.1", 80))
    found = [each.do for each in opened(LAST, doors=web, bound=sockets)]
    assert not [each for each in found if "127.0.0.1" in each]
    assert [each for each in opened(LAST, doors=web) if "127.0.0.1" in each.says]


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_private_port_at_127_0_0_1_alone_is_led_from_there_alone(
    proto: Literal["tcp", "udp"],
) -> None:
    alone = Doors("all", "10.80.0.3", 4, ((proto, 3306, False),), (), ("10.80.0.4",), 4)
    bound = (Bound(proto, "mysqld", "127.0.0.1", 3306),)
    found = opened(LAST, doors=alone, bound=bound)
    added = [each.do for each in found if each.do.startswith("ipfw -q add")]
    assert added and all("127.0.0.1" in each or "to 10.80.0.4 3306" in each for each in added)


def test_a_set_without_rules_is_switched_and_undone_as_the_others_are() -> None:
    """MySQL at 127.0.0.1 alone: the rules for that are in another set."""
    alone = Doors("all", "10.80.0.3", 4, (("tcp", 3306, False),), (), None, 4)
    found = opened(LAST, doors=alone, bound=(Bound("tcp", "mysqld", "127.0.0.1", 3306),))
    assert found[0].do == "ipfw -q set disable 27"
    assert not [each for each in found if " add " in each.do]


def test_where_the_daemon_answered_is_known_from_the_rules_once_it_has_moved() -> None:
    alone = Doors("all", "10.80.0.3", 4, (("tcp", 3306, False),), (), None, 4)
    own = (IPv4Address("203.0.113.2"), IPv4Address("203.0.113.3"))
    led = "fwd 10.80.0.3,3306 tcp from any to "

    def served(*rules: str) -> tuple[list[str], bool]:
        ours = tuple(Rule(64999, 20, rule) for rule in rules)
        at, local = View(of_host([]), own, (), ours).served(alone, "tcp", 3306)
        return [str(each) for each in at], local

    assert served(f"{led}127.0.0.1 3306") == ([], True)
    assert served(f"{led}203.0.113.3,203.0.113.2 3306 in recv lo0") == (
        ["203.0.113.2", "203.0.113.3"],
        False,
    )


def test_a_rule_with_a_table_is_typed_so_that_sh_leaves_it_alone() -> None:
    web = Doors("all", "10.80.0.4", 5, (("tcp", 80, True),), (), (), 5)
    rules = (
        Rule(100, 0, "allow ip from any to any via lo0"),
        Rule(400, 0, "allow tcp from table(2) to me 80"),
        Rule(500, 0, "deny ip from any to any"),
    )
    [typed_] = [each.do for each in opened(*rules, LAST, doors=web) if "(2)" in each.do]
    assert typed_.startswith("ipfw -q add 399 set 27 fwd 10.80.0.4,80 tcp from 'table(2)' to ")


def test_a_host_whose_rules_leave_no_place_is_refused_with_the_rule() -> None:
    limit = Rule(400, 0, "allow tcp from any to me 80 in setup limit src-addr 2 :default")
    web = Doors("all", "10.80.0.4", 5, (("tcp", 80, True),), (), (), 5)
    lo0 = Rule(100, 0, "allow ip from any to any via lo0")
    with pytest.raises(OperationError, match=r"ipfw rule 400 .*limits how many connections"):
        opened(lo0, limit, LAST, doors=web)


def test_somebody_elses_nat_instance_is_not_overwritten() -> None:
    with pytest.raises(OperationError, match=r"ipfw nat 52 exists .ip 203.0.113.9."):
        reversible(firewall.nat, {Nats: {52: "ip 203.0.113.9"}}, number=52, config=NAT)


def added(*there: Rule) -> list[tuple[str, str | None]]:
    return pairs(
        reversible(firewall.rules, {Rules: there}, number=500, set=20, bodies=[HTTP, HTTPS])
    )


OURS = [
    (
        "ipfw -q set disable 20",
        "if ipfw list >/dev/null 2>&1; then ipfw -q set enable 20; fi",
    ),
    (
        f"ipfw -q add 500 set 20 {HTTP}",
        "if ipfw list >/dev/null 2>&1; then ipfw -qf set 20 delete 500; fi",
    ),
    (
        f"ipfw -q add 500 set 20 {HTTPS}",
        "if ipfw list >/dev/null 2>&1; then ipfw -qf set 20 delete 500; fi",
    ),
]


def test_rules_are_added_in_their_order_at_one_number_to_a_set_that_is_off() -> None:
    """ipfw keeps rules of one number in the order in which they were added."""
    assert added(LAST) == OURS


def test_rules_live_in_the_kernel() -> None:
    commands = reversible(firewall.rules, {Rules: (LAST,)}, number=500, set=20, bodies=[HTTP])
    assert all(command.live for command in commands)


@pytest.mark.parametrize("number", [499, 500, 502, 1000])
def test_rules_of_others_are_no_trouble_elsewhere(number: int) -> None:
    assert added(Rule(number, 0, "deny tcp from any to any 23"), LAST) == OURS


@pytest.mark.parametrize("enabled", [True, False])
def test_a_rule_of_others_in_our_set_is_refused(enabled: bool) -> None:
    foreign = Rule(30000, 20, "count ip from any to any", enabled)
    with pytest.raises(OperationError, match=r"rule 30000 exists .set 20: count"):
        added(foreign, LAST)


def test_a_half_of_our_rules_beside_a_foreign_one_is_refused_too() -> None:
    with pytest.raises(OperationError, match="deny"):
        added(Rule(500, 20, HTTP), Rule(500, 20, "deny ip from any to any"), LAST)


def test_our_rule_at_another_number_than_ours_is_refused() -> None:
    """Otherwise the undo, which uses the number, would leave it there."""
    with pytest.raises(OperationError, match=r"rule 501 exists .set 20"):
        added(Rule(500, 20, HTTP), Rule(501, 20, HTTPS), LAST)


@pytest.mark.parametrize("nth", [0, 1], ids=["set on", "set off"])
def test_rules_that_freebsd_lists_as_we_wrote_them_are_not_added_twice(nth: int) -> None:
    there = Rules().process(recorded("ipfw -S list", nth))
    facts = {Rules: there}
    assert reversible(firewall.rules, facts, number=1000, set=20, bodies=[HTTP, HTTPS]) == []


def test_a_set_is_switched_as_a_whole() -> None:
    [command] = reversible(firewall.switch, set=20)
    assert pairs([command]) == [
        (
            "ipfw -q set enable 20",
            "if ipfw list >/dev/null 2>&1; then ipfw -q set disable 20; fi",
        )
    ]
    assert (command.live, command.limit) == (True, 10)


def test_sets_are_switched_in_one_moment() -> None:
    [command] = reversible(firewall.switch, set=23, more=[26])
    assert command.do == "ipfw -q set enable 23 26"
    assert str(command.undo).endswith("ipfw -q set disable 23 26; fi")


def test_a_set_that_is_switched_off_comes_back_even_after_a_restart() -> None:
    off, file = reversible(firewall.switched_off, set=26, file="/r/localhost.rules")
    assert (off.do, off.live) == ("ipfw -q set disable 26", True)
    assert off.undo == (
        "if ipfw list >/dev/null 2>&1; then if ! ipfw -S list | grep -q ' set 26 ' "
        "&& [ -e /r/localhost.rules ]; then ipfw -q /r/localhost.rules; fi; "
        "ipfw -q set enable 26; fi"
    )
    # Undone last first: the file exists before the set needs it.
    assert (file.do, file.keep) == ("rm -f /r/localhost.rules", ("/r/localhost.rules",))
