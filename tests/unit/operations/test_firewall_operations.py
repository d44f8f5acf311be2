"""Cellblock's ipfw rules beside foreign ones."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from pyinfra.api.exceptions import OperationError

from operations import firewall
from operations.command import Reversible
from operations.facts import Kenv, Module, Nats, OwnAddresses, Rule, Rules, State
from operations.facts import Path as At
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


@pytest.mark.parametrize(
    ("given", "public"),
    [((), ["192.168.7.1", "203.0.113.3"]), (("203.0.113.2", "203.0.113.3"), ["203.0.113.3"])],
)
def test_datagrams_are_redirected_at_each_address_of_the_host(
    given: tuple[str, ...], public: list[str]
) -> None:
    """Or at those that are given; never at a jail's."""
    has = ("203.0.113.2", "127.0.0.1", "10.80.0.3", "203.0.113.20", "203.0.113.3", "192.168.7.1")
    facts = {
        Nats: {},
        Rules: (),
        OwnAddresses: tuple(IPv4Interface(each) for each in has),
        At: State(),
    }
    first = yielded(
        firewall.redirecting,
        facts,
        number=8,
        set=27,
        bodies=["nat 3 udp from 10.80.0.2 53 to any out"],
        nats={3: ("10.80.0.2", given)},
        wan="203.0.113.2",
        apart=["10.80.0.0/24", "203.0.113.20"],
        path="/answers.rules",
    )[0]
    config = "".join(
        f" redirect_addr 10.80.0.2 {each}" for each in ["203.0.113.2", *public, "127.0.0.1"]
    )
    assert isinstance(first, Reversible)
    assert first.do == f"ipfw -q nat 3 config ip 203.0.113.2 same_ports{config}"


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


@pytest.mark.parametrize("number", [499, 501, 502, 1000])
def test_rules_of_others_are_no_trouble_elsewhere(number: int) -> None:
    assert added(Rule(number, 0, "deny tcp from any to any 23"), LAST) == OURS


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("beside", [(), (Rule(500, 20, HTTP),)], ids=["alone", "beside ours"])
def test_a_rule_of_others_at_our_number_is_refused(beside: tuple[Rule, ...], enabled: bool) -> None:
    foreign = Rule(500, 0, "count ip from any to any", enabled)
    with pytest.raises(
        OperationError,
        match=r"rule 500 exists .set 0: count ip .*expected set 20 and rule number 500",
    ):
        added(*beside, foreign, LAST)


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
