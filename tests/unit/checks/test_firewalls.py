"""Which rules of a host keep packets from ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import site
from tests.checks.firewalls import blocks, obstacles

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")
FIRST = SAMPLE.firewall.model_copy(update={"first_rule": 500})
LATE = SAMPLE.model_copy(update={"firewall": FIRST})


def found(*rules: str, where: site.Site = LATE, ends_at_nat: bool = True) -> str:
    listed = [f"{rule.split()[0]:0>5} set 0 {rule.partition(' ')[2]}" for rule in rules]
    return "; ".join(obstacles(where, listed, ends_at_nat=ends_at_nat))


@pytest.mark.parametrize(
    "rule",
    [
        "100 allow ip from any to any via lo0",
        "100 allow tcp from any to me 22,80 in via vtnet0 setup keep-state :default",
        "100 allow tcp from any to any established",
        "100 allow ip from 192.0.2.0/24 to any",
        "100 allow ip from table(1) to me",
        "100 allow ip from me to any",
        "100 divert 8668 ip from any to any via vtnet0",
        "100 skipto 700 tcp from any to 203.0.113.2 dst-port 53 in",
        "100 fwd 192.0.2.1 tcp from any to any 3306",
    ],
)
def test_a_rule_that_takes_our_packets_is_named_with_what_to_write(rule: str) -> None:
    said = found(rule)
    number, _, body = rule.partition(" ")
    assert f"ipfw rule {number} ({body}) stands before Cellblock's rules" in said
    assert "in [firewall], set first_rule to 91 or less" in said
    assert not found(rule.replace("100 ", "600 ", 1)) or "nat of the host's own" in said


@pytest.mark.parametrize(
    "rule",
    [
        "100 deny ip from table(1) to any",
        "100 check-state :default",
        "100 count ip from any to any",
        "100 allow tcp from any to me 22 in",
        "100 allow udp from any to any 123",
        "100 allow tcp from any to 192.0.2.1 80 in",
        "100 allow tcp from any to any out xmit vtnet0",
        "100 allow ip6 from any to any",
        "100 allow tcp from any to any 80 in recv vtnet1",
        "100 skipto 300 ip from any to any",
    ],
)
def test_other_rules_may_stand_there(rule: str) -> None:
    assert found(rule) == ""


def test_a_rule_with_no_room_before_it_has_to_move() -> None:
    said = found("5 allow ip from any to any via lo0")
    assert "set first_rule = 1, and give the host's rule a number above 9" in said


def test_nat_of_the_hosts_own_and_jails_that_use_ours_are_refused() -> None:
    rule = "2000 nat 1 ip from any to any via vtnet0"
    assert "ipfw rule 2000 (nat 1 ip from any to any via vtnet0) is nat of the" in found(rule)
    closed = [name for name in SAMPLE.order if name != "egress"]
    assert not found(rule, where=LATE.model_copy(update={"order": tuple(closed)}))


def test_without_one_pass_a_rule_that_denies_is_refused() -> None:
    rule = "2000 deny ip from any to any"
    assert "one_pass is 0" in found(rule, ends_at_nat=False)
    assert "rule 2000 (deny ip from any to any)" in found(rule, ends_at_nat=False)
    assert found(rule) == ""


def test_a_block_after_ours_is_told() -> None:
    after = ["00600 set 0 deny ip from table(22) to any", "65000 set 0 deny ip from any to any"]
    assert blocks(LATE, after) == ["600 deny ip from table(22) to any"]
    assert blocks(LATE, ["00100 set 0 deny ip from 192.0.2.66 to any"]) == []
