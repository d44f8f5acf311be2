"""Which addresses rc.conf gives an interface. The values are those of rc.conf(5) and carp(4)."""

from __future__ import annotations

import pytest

from tests.checks.test_network import at_boot


@pytest.mark.parametrize(
    ("conf", "addresses"),
    [
        ({"ifconfig_em0": "inet 192.0.2.1 netmask 255.255.255.0 broadcast 192.0.2.255"}, [1]),
        ({"ifconfig_em0": "SYNCDHCP"}, []),
        ({"ifconfig_em0": "tunnel 192.0.2.1 192.0.2.2"}, []),
        ({"ifconfig_em0": "inet 192.0.2.1 192.0.2.2 netmask 255.255.255.255"}, [1]),
        ({"ifconfig_em0_alias0": "inet 192.0.2.5-7/32"}, [5, 6, 7]),
        ({"ifconfig_em0_aliases": "inet 192.0.2.5/32 inet 192.0.2.6/32"}, [5, 6]),
        ({"ipv4_addrs_em0": "192.0.2.1/24 192.0.2.8-9/32"}, [1, 8, 9]),
        (
            {"ifconfig_em0_alias0": "inet vhid 1 advskew 100 pass x alias 192.0.2.9/32"},
            [9],
        ),
        (
            {"ifconfig_em0_alias0": "inet 192.0.2.1/32", "ifconfig_em0_alias2": "inet 192.0.2.3"},
            [1],
        ),
    ],
)
def test_addresses_are_those_that_come_with_the_next_boot(
    conf: dict[str, str], addresses: list[int]
) -> None:
    found = [address for _, address in at_boot(conf, "em0")]
    assert found == [f"192.0.2.{each}" for each in addresses]


def test_a_vlan_by_its_usual_name_has_variables_with_an_underscore() -> None:
    """get_if_var() of network.subr: no dot may be in the name of a variable."""
    conf = {"ifconfig_em0_7": "inet 192.0.2.1/24", "ifconfig_em0_7_alias0": "inet 192.0.2.2/32"}
    assert [address for _, address in at_boot(conf, "em0.7")] == ["192.0.2.1", "192.0.2.2"]
