"""Where people reach a host, and what nobody there uses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from operations.facts import Rule
from rollout.errors import Refused
from survey import network
from tests.unit.survey.seen import host

WHOLE = (("10.0.0.0/8", "tun0"), ("172.16.0.0/12", "tun0"), ("192.168.0.0/16", "tun0"))
TWO: dict[str, Any] = {
    "interfaces": {"em0": ("10.0.0.2",), "em1": ("203.0.113.9", "203.0.113.2"), "lo0": ()},
    "networks": tuple(map(IPv4Interface, ("10.0.0.2/24", "203.0.113.9/32", "203.0.113.2/24"))),
}


@pytest.mark.parametrize(
    ("more", "interface", "address", "seen"),
    [
        ({"routes": (("default", "em1"),)}, "em1", "203.0.113.9", "the default route"),
        (
            {
                "routes": (),
                "rc_conf": {"defaultrouter": "203.0.113.1"},
                "assigned": {"defaultrouter": "/etc/rc.conf:4"},
            },
            "em1",
            "203.0.113.2",
            "/etc/rc.conf:4: defaultrouter is in its network",
        ),
        (
            {"routes": (), "interfaces": {"em0": ("10.0.0.2",)}},
            "em0",
            "10.0.0.2",
            "the only network card",
        ),
    ],
)
def test_the_public_address(more: dict[str, Any], interface: str, address: str, seen: str) -> None:
    found = network.wan(host(**(TWO | more)))
    assert (found.interface, str(found.address)) == (interface, address)
    assert seen in found.seen


def test_no_telling_which_of_two_cards_is_public_is_refused() -> None:
    with pytest.raises(Refused, match=r"no default route, and em0, em1 have some"):
        network.wan(host(**TWO, routes=()))


def test_the_jails_network_is_nobodys() -> None:
    assert str(network.free_network(host())) == "10.80.0.0/24"
    taken = host(
        routes=(("default", "vtnet0"), ("10.80.0.0/16", "tun0")),
        used=(IPv4Address("10.81.0.9"),),
        servers=("10.82.0.1", "::1"),
        networks=(IPv4Interface("10.83.0.1/24"),),
    )
    assert str(network.free_network(taken)) == "10.84.0.0/24"
    with pytest.raises(Refused, match="every private network that was tried is in use"):
        network.free_network(host(routes=WHOLE))


def test_the_jails_interface_is_neither_there_nor_made_at_boot() -> None:
    assert network.free_interface(host()) == "lo1"
    cloned = host(rc_conf={"cloned_interfaces": "lo1 bridge0"}, interfaces={"lo2": ()})
    assert network.free_interface(cloned) == "lo3"


def test_sets_are_not_those_of_the_hosts_own_rules() -> None:
    """Four services need ten in a row; 0 is where rules stand without a set, 31 is ipfw's."""

    def rules(*sets: int) -> tuple[Rule, ...]:
        return tuple(Rule(100, each, "allow ip from any to any") for each in sets)

    assert network.free_sets(host(rules=rules(0, 31, 19)), 4) == 20
    assert network.free_sets(host(rules=rules(0, 25)), 4) == 15
    with pytest.raises(Refused, match="no 10 sets in a row"):
        network.free_sets(host(rules=rules(9, 18, 27)), 4)
