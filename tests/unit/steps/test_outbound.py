"""The rules of egress, policy and traffic, for the sample and for other sites."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from operations.doors import View
from operations.host_decisions import of_host
from rollout import site
from rollout.errors import Refused
from rollout.plan.step import Step
from rollout.site import Listen, Site
from steps import bind, egress, mail, mysql, policy, traffic
from steps.render import render
from tests.unit.operations.asking import typed

WHOLE = site.read(Path(__file__).parents[3] / "site.example.toml")
ORDER = ("preflight", "base", "network", "traffic", "egress", "mysql", "web", "policy")
SAMPLE = WHOLE.model_copy(update={"order": ORDER})  # two jails are enough to see the rules
EGRESS = SAMPLE.places["egress"]
SKIP = "skipto 3"


def changed(**jails: dict[str, Any]) -> Site:
    """The sample, whose jails have these values instead."""
    new = {name: SAMPLE.jails[name].model_copy(update=values) for name, values in jails.items()}
    return SAMPLE.model_copy(update={"jails": {**SAMPLE.jails, **new}})


PUBLIC = changed(
    web={"outbound": "public", "public_addresses": (IPv4Address("203.0.113.20"),)},
)
NOBODY = changed(web={"outbound": "none"})


def operations(step: Step) -> list[str]:
    return [str(each).partition("(")[0] for each in step.operations]


def checks(step: Step) -> list[str]:
    return [each.test for each in step.checks]


def translated(site: Site) -> list[str]:
    """The rules of nat on a host whose ipfw has no rules of its own."""
    view = View(of_host(()), (IPv4Address("203.0.113.2"),))
    return [body for _, body in egress.ways(site).placed(view)]


def test_nat_is_as_narrow_as_was_measured() -> None:
    """And takes no new connection to a port of the host."""
    assert egress.bodies(SAMPLE) == [
        "fwd 10.80.0.3,8999 tcp from any to 203.0.113.2 8999 in",
        "deny ip from 10.80.0.3 to any out xmit vtnet0",
    ]
    nat, answers = f"nat {EGRESS.number}", "203.0.113.2 32768-65535 in recv vtnet0"
    assert translated(SAMPLE) == [
        f"{nat} tcp from 10.80.0.4 to not 10.80.0.0/24 out xmit vtnet0",
        f"{nat} tcp from any to {answers} established",
        f"{nat} udp from 10.80.0.4 to not 10.80.0.0/24 out xmit vtnet0",
        f"{nat} udp from any to {answers}",
        f"{nat} icmp from 10.80.0.4 to not 10.80.0.0/24 out xmit vtnet0",
        f"{nat} icmp from any to 203.0.113.2 in recv vtnet0 icmptypes 0,3,11",
    ]


def test_a_jail_that_opens_no_connections_still_answers_over_udp() -> None:
    order = ("preflight", "base", "network", "egress", "bind")
    closed = WHOLE.jails["bind"].model_copy(update={"outbound": "none"})
    site_ = WHOLE.model_copy(update={"order": order, "jails": {**WHOLE.jails, "bind": closed}})
    assert [body for body in egress.bodies(site_) if body.startswith("deny")] == [
        "deny tcp from 10.80.0.2 to any out xmit vtnet0",
        "deny udp from 10.80.0.2 not 53 to any out xmit vtnet0",
        "deny icmp from 10.80.0.2 to any out xmit vtnet0",
    ]


def test_a_port_of_a_service_is_none_of_nats() -> None:
    high = WHOLE.services["mysql"].model_copy(update={"ports": (Listen(port=33060),)})
    moved = SAMPLE.model_copy(update={"services": {**SAMPLE.services, "mysql": high}})
    assert any("203.0.113.2 32768-33059,33061-65535 in" in each for each in translated(moved))


def test_what_translates_has_no_tso_and_what_does_not_keeps_it() -> None:
    [step] = egress.steps(SAMPLE)
    assert operations(step) == [
        "offload.off",
        "firewall.opened",
        "firewall.switch",
    ]
    [plain] = egress.steps(NOBODY)
    assert operations(plain) == ["firewall.opened", "firewall.switch"]
    assert translated(NOBODY) == []
    assert "egress::offload_is_off" not in checks(plain)


def test_a_jail_with_a_public_address_keeps_its_lan_address_to_itself() -> None:
    assert "deny ip from 10.80.0.4 to any out xmit vtnet0" in egress.bodies(PUBLIC)
    assert not [body for body in translated(PUBLIC) if "203.0.113.20" in body]


def test_transfers_are_tried_only_where_the_site_says_with_whom() -> None:
    found = checks(egress.steps(SAMPLE)[0])
    assert {"egress::upload_works", "egress::download_works"} <= set(found)
    quiet = SAMPLE.model_copy(update={"egress": site.Egress()})
    [step] = egress.steps(quiet)
    assert not [each for each in checks(step) if each.endswith("_flows")]
    assert not [body for body in egress.bodies(quiet) if body.startswith("fwd")]
    assert "egress::nat_skips_the_hosts_own_packets" in checks(step)


def test_policy_allows_the_pair_and_its_answers_and_nothing_from_there_back() -> None:
    bodies = policy.bodies(SAMPLE)
    assert f"{SKIP} tcp from 10.80.0.4 to 10.80.0.3 3306" in bodies
    assert f"{SKIP} tcp from 10.80.0.3 3306 to 10.80.0.4 established" in bodies
    assert f"{SKIP} tcp from 10.80.0.4 to 203.0.113.2 3306" in bodies
    assert not [body for body in bodies if re.search(r"from 10\.80\.0\.3 to 10\.80\.0\.4", body)]
    assert bodies[-2:] == [
        "deny ip from 10.80.0.3,10.80.0.4 to any",
        "deny ip from any to 10.80.0.3,10.80.0.4 in recv vtnet0",
    ]


def test_policy_never_ends_the_search_for_what_it_lets_through() -> None:
    """fwd and nat come after it."""
    first = min(SAMPLE.places[name].number for name in SAMPLE.services)
    assert first > SAMPLE.places["policy"].number
    for body in policy.bodies(SAMPLE):
        assert body.startswith((f"skipto {first} ", "deny "))


def test_policy_keeps_a_jail_from_what_its_own_address_would_lead_to() -> None:
    bodies = policy.bodies(SAMPLE)
    assert bodies.index("deny tcp from 10.80.0.3 to 10.80.0.3 22,53,80") < bodies.index(
        f"{SKIP} ip from 10.80.0.3 to 10.80.0.3"
    )
    lonely = SAMPLE.model_copy(update={"policy": site.Policy()})
    assert "deny tcp from 10.80.0.4 to 10.80.0.4 22,25,53,3306" in policy.bodies(lonely)


def test_policy_touches_nothing_but_jails() -> None:
    addresses = ("10.80.0.3", "10.80.0.4")
    for body in policy.bodies(SAMPLE):
        assert "icmptypes 3,11" in body or any(each in body for each in addresses), body


def test_policy_for_a_public_address_opens_its_public_ports_and_lets_answers_in() -> None:
    bodies = policy.bodies(PUBLIC)
    assert f"{SKIP} tcp from any to 203.0.113.20 80 in recv vtnet0" in bodies
    assert f"{SKIP} tcp from any to 203.0.113.20 in recv vtnet0 established" in bodies
    assert f"{SKIP} tcp from 10.80.0.4,203.0.113.20 to any 80,443 out xmit vtnet0" in bodies
    assert bodies[-1] == "deny ip from any to 10.80.0.3,10.80.0.4,203.0.113.20 in recv vtnet0"


def test_policy_lets_the_answers_of_a_public_udp_port_out() -> None:
    order = ("preflight", "base", "network", "bind", "policy")
    moved = SAMPLE.model_copy(update={"order": order})
    bodies = policy.bodies(moved)
    assert f"{SKIP} udp from 10.80.0.2 53 to not 10.80.0.0/24 out" in bodies
    assert f"{SKIP} ip from 10.80.0.2 to any out xmit vtnet0" in bodies


def test_what_is_allowed_over_udp_is_answered_by_state() -> None:
    allowed = f"{SKIP} udp from 10.80.0.4 to 10.80.0.2 53 keep-state :cellblock"
    assert allowed in policy.bodies(SAMPLE)


@pytest.mark.parametrize(
    ("make", "order", "told"),
    [
        (policy.steps, ("network", "policy", "mysql"), "must come after the services"),
        (policy.steps, ("network", "policy"), "must come after the services"),
        (egress.steps, ("network", "egress"), "has nothing to do"),
        (traffic.steps, ("network", "traffic"), "has nothing to count"),
    ],
)
def test_an_order_in_which_it_makes_no_sense_is_refused(
    make: Callable[[Site], object], order: tuple[str, ...], told: str
) -> None:
    with pytest.raises(Refused, match=told):
        make(SAMPLE.model_copy(update={"order": order}))


def counted(site: Site) -> list[str]:
    [step] = traffic.steps(site)
    return list(step.operations[0].arguments["bodies"])


def test_traffic_counts_each_way_of_each_jail_once_and_changes_nothing() -> None:
    bodies = counted(SAMPLE)
    assert all(body.startswith(("count ", "skipto 2 ip ")) for body in bodies)
    assert [body for body in bodies if body.endswith("// web received")] == [
        "count ip from any to 10.80.0.4 in // web received",
        "count tcp from any to me 80 in // web received",
    ]
    assert [body for body in bodies if body.endswith("// web sent")] == [
        "count ip from 10.80.0.4 to any out // web sent",
        "count tcp from me 80 to any out // web sent",
    ]
    assert bodies[-1].endswith("32768-65535 in recv vtnet0 // by-nat received")
    assert not [body for body in counted(NOBODY) if "by-nat" in body]


@pytest.mark.parametrize("service", ["bind", "mail"])
@pytest.mark.parametrize(
    ("outbound", "order", "says"),
    [
        ("none", ("egress", "bind", "mail"), 'outbound = "none"'),
        ("nat", ("bind", "mail"), 'no "egress" before it in `order`'),
        ("nat", ("bind", "mail", "egress"), 'no "egress" before it in `order`'),
        ("nat", ("egress", "bind", "mail"), None),
        ("public", ("bind", "mail"), None),
    ],
)
def test_who_is_shut_in_is_asked_about_before_the_jail_is_built(
    service: str, outbound: str, order: tuple[str, ...], says: str | None
) -> None:
    name = WHOLE.jail_of(service)
    jail = WHOLE.jails[name].model_copy(update={"outbound": outbound})
    sample = WHOLE.model_copy(update={"order": order, "jails": {**WHOLE.jails, name: jail}})
    first = {"bind": bind, "mail": mail}[service].steps(sample)[0]
    assert first.name == f"{service}.jail"
    assert (first.gate and first.gate.look_at[0]) == (says and f"jails.{name}: {says}")


def test_a_daemon_that_only_answers_needs_no_way_out() -> None:
    assert mysql.steps(SAMPLE)[0].gate is None


@pytest.mark.parametrize(
    ("answers", "live", "starts"),
    [
        (
            "nat 3 config ip 203.0.113.2\nadd 9 set 28 nat 3 udp from 10.80.0.2 53 to any out",
            0,
            True,
        ),
        ("add 2 set 28 deny ip from 10.80.0.254 to any", 0, False),
        ("add 2 set 28 deny ip from 10.80.0.254 to any", 1, True),
    ],
)
def test_no_jail_starts_without_what_confines_its_further_addresses(
    tmp_path: Path, answers: str, live: int, *, starts: bool
) -> None:
    text = render("network/cellblock_firewall", directory=str(tmp_path))
    (tmp_path / "answers.rules").write_text(f"{answers}\n")
    functions = text.partition(". /etc/rc.subr")[2].partition("load_rc_config")[0]
    rule = "00002 set 28 deny ip from 10.80.0.254 to any"
    listed = f"echo '{'' if live else '# DISABLED '}{rule}'"
    done = typed(
        f"{functions}\ncellblock_firewall_ready", tmp_path, ipfw=listed, sysctl="echo 1", logger=":"
    )
    assert (done.returncode == 0) == starts
