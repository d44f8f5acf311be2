"""Hosts with rules of their own in ipfw: the same answers, or a refusal that names the rule."""

from __future__ import annotations

import pytest

from tests.cases.__main__ import outcome
from tests.cases.case import Case

SCRIPT = "/etc/ipfw.rules"
ENABLED = {"/etc/rc.conf": f'firewall_enable="YES"\nfirewall_script="{SCRIPT}"'}
WEB = {"port": 80, "address": "203.0.113.2"}
MYSQL = {"port": 3306, "address": "203.0.113.2"}
DNS = {"port": 53, "address": "203.0.113.2", "proto": "udp"}


def host(*rules: str, **more: object) -> Case:
    """The sample's host with these rules, loaded by a script that begins with a flush."""
    lines = ["ipfw -q -f flush", *(f"ipfw -q add {rule}" for rule in rules)]
    return Case.model_validate(
        {
            "what": "a host with rules of its own",
            "order": ("mysql", "web"),
            "ask": (WEB, MYSQL),
            "files": {SCRIPT: "#!/bin/sh\n" + "".join(f"{line}\n" for line in lines)},
            "append": ENABLED,
        }
        | more
    )


def refused(ask: dict[str, object], client: str) -> dict[str, object]:
    return {**ask, "from": client, "refused": True}


@pytest.mark.slow
def test_who_was_banned_stays_banned_also_after_a_restart_of_the_hosts_firewall() -> None:
    case = host(
        "100 allow ip from any to any via lo0",
        "300 deny ip from 192.0.2.66 to any",
        "400 deny ip from table\\(1\\) to any",
        "1000 allow ip from any to any",
        before=("ipfw -q table 1 add 198.51.100.66",),
        ask=(WEB, MYSQL, refused(WEB, "192.0.2.66"), refused(MYSQL, "198.51.100.66")),
        must="same",
        meanwhile={"sh": "service ipfw restart"},
    )
    assert str(outcome(case, "standin")) == "same"


@pytest.mark.slow
def test_a_port_for_the_office_alone_is_not_opened_to_others() -> None:
    case = host(
        "100 allow ip from any to any via lo0",
        "200 check-state",
        "300 allow tcp from 198.51.100.0/24 to me 3306 in setup keep-state",
        "310 allow tcp from any to me 80,22 in setup keep-state",
        "320 allow ip from me to any out keep-state",
        "65000 deny ip from any to any",
        ask=({**MYSQL, "from": "198.51.100.9"}, refused(MYSQL, "192.0.2.66"), WEB),
        must="same",
    )
    assert str(outcome(case, "standin")) == "same"


@pytest.mark.slow
def test_a_rule_that_ours_could_not_keep_is_refused_with_its_number() -> None:
    case = host(
        "100 allow ip from any to any via lo0",
        "400 allow tcp from any to me 80 in setup limit src-addr 20",
        "65000 allow ip from any to any",
        order=("web",),
        ask=(WEB,),
        must="refused",
        says=(r"ipfw rule 400 \(allow tcp .*limit src-addr 20", "limits how many connections"),
    )
    assert outcome(case, "standin").kind == "refused"


@pytest.mark.slow
def test_a_stateful_firewall_lets_the_answers_out() -> None:
    case = host(
        "10 allow ip from any to any via lo0",
        "101 check-state",
        "200 allow tcp from me to any out via vtnet0 setup keep-state",
        "400 allow tcp from any to me 22,25,53,80,443,3306 in via vtnet0 setup keep-state",
        "410 allow udp from any to me 53 in via vtnet0 keep-state",
        "999 deny log ip from any to any",
        must="same",
        ask=(WEB, MYSQL, {**MYSQL, "address": "127.0.0.1", "from": "host"}),
    )
    assert str(outcome(case, "standin")) == "same"


@pytest.mark.slow
def test_the_hosts_own_programs_reach_bind_at_127_0_0_1_over_both_protocols() -> None:
    asked: dict[str, object] = {"port": 53, "address": "127.0.0.1", "from": "host"}
    case = host(
        "100 allow ip from any to any via lo0",
        "200 deny ip from any to 127.0.0.0/8",
        "300 deny ip from 127.0.0.0/8 to any",
        "65000 allow ip from any to any",
        must="same",
        order=("bind",),
        ask=(asked, {**asked, "proto": "udp"}),
    )
    assert str(outcome(case, "standin")) == "same"


TWO = {"/etc/rc.conf": 'ifconfig_vtnet0_alias0="inet 203.0.113.3/32"'}
LISTEN = "sed -i '' 's/listen-on { 203.0.113.2;/listen-on { 203.0.113.2; 203.0.113.3;/'"
NAMED = f"{LISTEN} /usr/local/etc/namedb/named.conf && service named restart"


@pytest.mark.slow
def test_every_address_of_the_host_answers_as_before() -> None:
    second = {"address": "203.0.113.3"}
    case = Case.model_validate(
        {
            "what": "two public addresses on the card, a daemon on each and one on all",
            "must": "same",
            "order": ("bind", "mysql", "web"),
            "append": TWO,
            "before": (NAMED,),
            "ask": (
                WEB,
                {**WEB, **second},
                {**MYSQL, **second},
                {**DNS, **second},
                {**DNS, **second, "proto": "tcp"},
                DNS,
            ),
        }
    )
    assert str(outcome(case, "standin")) == "same"


@pytest.mark.slow
def test_an_address_where_the_daemon_does_not_listen_is_not_forwarded() -> None:
    case = Case.model_validate(
        {
            "what": "named listens on one of two addresses",
            "must": "same",
            "order": ("bind",),
            "append": TWO,
            "ask": (DNS, {**DNS, "address": "203.0.113.3", "refused": True}),
        }
    )
    assert str(outcome(case, "standin")) == "same"
