"""The rules that forward a service's public ports into its jail."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from operations.doors import View, Ways
from operations.host_decisions import of_host
from operations.placing import Placed
from rollout import site
from rollout.errors import Refused
from rollout.site import Listen, Site
from steps import forward

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")


def changed(service: str, *ports: Listen) -> Site:
    new = SAMPLE.services[service].model_copy(update={"ports": ports})
    return SAMPLE.model_copy(update={"services": {**SAMPLE.services, service: new}})


def placed(ways: Ways) -> list[Placed]:
    """The rules on a host with one address, whose ipfw has no rules of its own."""
    return ways.placed(View(of_host(()), (IPv4Address("203.0.113.2"),)))


def bodies(site: Site, service: str, **more: Any) -> list[str]:
    return [body for _, body in placed(forward.ways(site, service, **more))]


LOCAL = [f"fwd 10.80.0.4,80 tcp from any to 10.80.0.{n} 80" for n in (2, 3, 5)]


def test_a_public_port_is_forwarded_as_it_comes_in_and_at_127_0_0_1() -> None:
    assert bodies(SAMPLE, "web") == [
        "fwd 10.80.0.4,80 tcp from any to 127.0.0.1 80",
        *LOCAL,
        "fwd 10.80.0.4,80 tcp from any to 203.0.113.2 80 in",
    ]


def test_at_the_addresses_that_the_site_names_if_it_does() -> None:
    both = (IPv4Address("203.0.113.2"), IPv4Address("203.0.113.3"))
    new = SAMPLE.services["web"].model_copy(update={"addresses": both})
    named = SAMPLE.model_copy(update={"services": {**SAMPLE.services, "web": new}})
    assert bodies(named, "web")[-1] == (
        "fwd 10.80.0.4,80 tcp from any to 203.0.113.2,203.0.113.3 80 in"
    )


def test_a_jails_public_address_is_not_the_hosts() -> None:
    jail = SAMPLE.jails["mail"].model_copy(
        update={"public_addresses": (IPv4Address("203.0.113.20"),)}
    )
    public = SAMPLE.model_copy(update={"jails": {**SAMPLE.jails, "mail": jail}})
    has = [IPv4Address(each) for each in ("203.0.113.20", "203.0.113.2", "10.80.0.2")]
    assert forward.beside(public).own(has) == (IPv4Address("203.0.113.2"),)


def test_without_localhost_only_the_hosts_own_addresses_lead_to_the_jail() -> None:
    assert bodies(SAMPLE, "mysql", localhost=False) == [
        "fwd 10.80.0.3,3306 tcp from any to 203.0.113.2 3306 in"
    ]


def test_a_port_that_is_not_public_is_redirected_for_the_host_and_the_jails_alone() -> None:
    quiet = changed("mysql", Listen(port=3306, public=False))
    assert bodies(quiet, "mysql", localhost=False) == [
        "fwd 10.80.0.3,3306 tcp from any to 203.0.113.2 3306 in recv lo0"
    ]


def test_over_udp_too() -> None:
    quiet = changed("bind", Listen(port=53, proto="udp", public=False))
    assert bodies(quiet, "bind", localhost=False) == [
        "nat 3 udp from not 10.80.0.0/24 to 203.0.113.2 53 in recv lo0"
    ]


def test_over_udp_127_0_0_1_is_answered_by_way_of_the_public_address() -> None:
    """To a jail 127.0.0.1 is its own address, when it answers a client, too."""
    assert bodies(SAMPLE, "bind")[:3] == [
        "nat 3 udp from 127.0.0.1 to 127.0.0.1 53 out",
        "nat 3 udp from 203.0.113.2 to 127.0.0.1 53 in",
        "nat 3 udp from 127.0.0.1 53 to 203.0.113.2 in",
    ]


def test_every_service_has_a_set_of_its_own_and_its_rules_on_the_disk() -> None:
    found = [forward.rules(SAMPLE, name)[0].arguments for name in SAMPLE.services]
    assert [each["set"] for each in found] == [22, 23, 24, 25]
    assert [each["path"] for each in found] == [
        f"/usr/local/etc/cellblock/rules/{name}.rules" for name in SAMPLE.services
    ]


def grown(where: Path, jails: int, ports: str, first_set: int = 20) -> Site:
    """A site of so many more jails, each with a service that has these ports."""
    text = SAMPLE.path.read_text()
    for n in range(jails):
        text += (
            f'[jails.j{n}]\naddress = "10.80.0.{100 + n}"\nhostname = "j{n}"\n'
            f'services = ["s{n}"]\n[services.s{n}]\nrc = "s{n}"\nrcvar = "s{n}_enable"\n'
            f"ports = [{ports.format(1000 + n, 2000 + n)}]\n"
        )
    text, given = re.subn(r"(?m)^first_set = \d+", f"first_set = {first_set}", text)
    assert given == 1
    path = where / "grown.toml"
    path.write_text(text)
    return site.read(path)


def test_no_two_services_have_a_nat_instance_or_a_set_in_common(tmp_path: Path) -> None:
    """Otherwise the second one's step would be refused in the middle of the rollout."""
    crowded = grown(tmp_path, 1, "{{ port = {} }}, {{ port = {} }}")
    found = [forward.rules(crowded, service)[0].arguments for service in crowded.services]
    assert len({each["set"] for each in found}) == len(crowded.services) == 5
    assert len({door.nat for each in found for door in each["ways"].each}) == 5


def test_the_last_set_that_can_be_switched_is_used(tmp_path: Path) -> None:
    many = grown(tmp_path, 1, "{{ port = {} }}")
    assert list(many.places) == [
        *("traffic", "policy", *many.services),
        *("localhost", "lan", "answers", "egress"),
    ]
    assert many.places["egress"].set == 30


@pytest.mark.parametrize(("jails", "first_set"), [(2, 20), (11, 11)])
def test_more_services_than_sets_are_refused(tmp_path: Path, jails: int, first_set: int) -> None:
    """Set 31 is ipfw's own and cannot be switched off."""
    told = f"need sets up to 31; ipfw has them up to 30: expected {first_set - 1} at most"
    with pytest.raises(Refused, match=told):
        grown(tmp_path, jails, "{{ port = {} }}", first_set)


def test_tcp_goes_in_by_fwd_and_udp_by_nat() -> None:
    """fwd carries TCP alone: an answer to a forwarded datagram leaves from the jail's address."""
    found = bodies(SAMPLE, "bind")
    assert "nat 3 udp from not 10.80.0.0/24 to 203.0.113.2 53 in" in found
    assert "fwd 10.80.0.2,53 tcp from any to 203.0.113.2 53 in" in found


def test_answers_over_udp_leave_with_the_public_address() -> None:
    rules, switch = (used.arguments for used in forward.answers(SAMPLE))
    assert rules["set"] == 28
    assert switch == {"set": 28}
    assert [body for _, body in placed(rules["ways"])] == [
        "nat 3 udp from 10.80.0.2 53 to not 10.80.0.0/24 out"
    ]


def test_localhost_has_a_set_of_its_own_that_may_go_later() -> None:
    [live] = (used.arguments for used in forward.localhost(SAMPLE, "mysql"))
    assert live["set"] == 26
    addresses = ("127.0.0.1", "10.80.0.2", "10.80.0.4", "10.80.0.5")
    assert [body for _, body in placed(live["ways"])] == [
        f"fwd 10.80.0.3,3306 tcp from any to {address} 3306" for address in addresses
    ]
    assert live["path"].endswith("/localhost.rules")


def test_what_stays_is_reached_at_127_0_0_1_of_every_jail() -> None:
    order = ("preflight", "base", "network", "web", "mail")
    site = SAMPLE.model_copy(update={"order": order})
    rules, disk, switch, *more = forward.lan(site)
    assert (rules.arguments["number"], rules.arguments["set"]) == (3, 22)
    assert rules.arguments["bodies"] == [
        "fwd 127.0.0.1,53 tcp from 10.80.0.4 to 10.80.0.4 53",
        "fwd 127.0.0.1,53 tcp from 10.80.0.5 to 10.80.0.5 53",
    ]
    assert disk.arguments["path"] == "/usr/local/etc/cellblock/rules/bind.rules"
    assert switch.arguments == {"set": 22}
    assert more[0].arguments["bodies"][0] == (
        "fwd 127.0.0.1,3306 tcp from 10.80.0.4 to 10.80.0.4 3306"
    )


def test_until_its_cutover_a_service_is_reached_on_the_host_from_every_other_jail() -> None:
    """Behind the services: what the cut-over switches on is found first."""
    rules, *_ = forward.lan(SAMPLE)
    place = SAMPLE.places["lan"]
    assert (rules.arguments["number"], rules.arguments["set"]) == (place.number, place.set)
    assert place.number > max(SAMPLE.places[name].number for name in SAMPLE.services)
    assert [body for body in rules.arguments["bodies"] if body.startswith("fwd 127.0.0.1,25 ")] == [
        f"fwd 127.0.0.1,25 tcp from 10.80.0.{n} to 10.80.0.{n} 25" for n in (2, 3, 4)
    ]


def test_what_is_sent_to_a_jail_passes_on_the_loopback_that_has_its_address() -> None:
    """Behind what leads a port elsewhere, and before all of the host's rules."""
    rules, *_ = forward.lan(SAMPLE)
    jails = "10.80.0.2,10.80.0.3,10.80.0.4,10.80.0.5"
    assert rules.arguments["bodies"][-1] == f"allow ip from any to {jails} via lo1"
    assert rules.arguments["number"] == forward.beside(SAMPLE).floor
    card = SAMPLE.lan.model_copy(update={"interface": "bridge0"})
    rules, *_ = forward.lan(SAMPLE.model_copy(update={"lan": card}))
    assert not [body for body in rules.arguments["bodies"] if "via" in body], "that goes over lo0"


def test_what_moves_with_another_service_of_its_jail_is_not_sent_back_to_the_host() -> None:
    mail = SAMPLE.jails["mail"].model_copy(update={"services": ("mail", "mysql")})
    jails = {**SAMPLE.jails, "mysql": SAMPLE.jails["mysql"], "mail": mail}
    site = SAMPLE.model_copy(
        update={"order": ("preflight", "base", "network", "mail"), "jails": jails}
    )
    assert site.staying == ("bind", "web")


def test_a_site_that_moves_no_udp_service_has_no_nat_for_answers() -> None:
    stays = SAMPLE.model_copy(update={"order": ("preflight", "base", "network", "web")})
    assert forward.answers(stays) == []
