"""Interfaces and aliases beside the existing ones."""

from __future__ import annotations

from operations import address
from operations.facts import Interfaces, RcConf
from tests.unit.operations.answering import ANSWERS, two_addresses
from tests.unit.operations.asking import pairs, reversible, unset


def alias(number: int, value: str, interface: str = "lo1") -> tuple[str, str]:
    name = f"ifconfig_{interface}_alias{number}"
    return (
        f"sysrc {name}='inet {value}/32' && fsync /etc/rc.conf*",
        unset(name, f"'inet {value}/32'"),
    )


def live(value: str, interface: str = "lo1") -> tuple[str, str]:
    return (
        f"ifconfig {interface} inet {value}/32 alias",
        f"if ifconfig {interface} 2>/dev/null | grep -q "
        f"'[[:space:]]inet {value.replace('.', '[.]')}[[:space:]/]'; "
        f"then ifconfig {interface} inet {value} -alias; fi",
    )


def test_an_interface_is_made_now_and_at_boot() -> None:
    commands = reversible(
        address.cloned_interface, {RcConf: {}, Interfaces: {"lo0": ()}}, interface="lo1"
    )
    assert pairs(commands) == [
        (
            "sysrc cloned_interfaces+=lo1 && fsync /etc/rc.conf*",
            "if ! ifconfig lo1 >/dev/null 2>&1; then sysrc cloned_interfaces-=lo1; "
            'if [ -z "$(sysrc -ni cloned_interfaces)" ]; '
            "then sysrc -ix cloned_interfaces; fi && fsync /etc/rc.conf*; fi",
        ),
        (
            "ifconfig lo1 create",
            "if ifconfig lo1 >/dev/null 2>&1 && ! ifconfig lo1 | grep -q '[[:space:]]inet '; "
            "then ifconfig lo1 destroy; fi",
        ),
    ]
    assert [command.live for command in commands] == [False, True]


def test_an_interface_that_is_there_is_not_made() -> None:
    facts = {RcConf: {"cloned_interfaces": "lo1 bridge0"}, Interfaces: {"lo1": ("10.0.0.1",)}}
    assert reversible(address.cloned_interface, facts, interface="lo1") == []


def test_an_interface_that_would_be_gone_after_a_reboot_is_noted_in_rc_conf() -> None:
    facts = {RcConf: {"cloned_interfaces": "tap0"}, Interfaces: {"lo1": ()}}
    assert pairs(reversible(address.cloned_interface, facts, interface="lo1")) == [
        (
            "sysrc cloned_interfaces+=lo1 && fsync /etc/rc.conf*",
            "sysrc cloned_interfaces-=lo1 && fsync /etc/rc.conf*",
        )
    ]


def aliased(
    conf: dict[str, str], present: tuple[str, ...], *addresses: str
) -> list[tuple[str, str | None]]:
    facts = {RcConf: conf, Interfaces: {"lo1": ("fe80::1", *present)}}
    return pairs(reversible(address.aliases, facts, interface="lo1", addresses=addresses))


def test_aliases_are_put_on_an_interface_now_and_at_boot() -> None:
    assert aliased({}, (), "10.80.0.2", "10.80.0.3") == [
        alias(0, "10.80.0.2"),
        live("10.80.0.2"),
        alias(1, "10.80.0.3"),
        live("10.80.0.3"),
    ]


def test_only_the_live_part_of_an_alias_goes_with_a_reboot() -> None:
    facts = {RcConf: {}, Interfaces: {"lo1": ("fe80::1",)}}
    commands = reversible(address.aliases, facts, interface="lo1", addresses=["10.80.0.2"])
    assert [command.live for command in commands] == [False, True]


def test_aliases_of_others_keep_their_numbers() -> None:
    conf = {"ifconfig_lo1_alias0": "inet 10.9.0.1/32", "ifconfig_lo1_alias1": "inet 10.9.0.2/32"}
    assert aliased(conf, ("10.9.0.1", "10.9.0.2"), "10.80.0.2", "10.80.0.3") == [
        alias(2, "10.80.0.2"),
        live("10.80.0.2"),
        alias(3, "10.80.0.3"),
        live("10.80.0.3"),
    ]


def test_no_number_is_left_out_since_what_comes_after_it_is_not_read_at_boot() -> None:
    conf = {"ifconfig_lo1_alias0": "inet 10.9.0.1/32", "ifconfig_lo1_alias2": "inet 10.9.0.2/32"}
    numbers = [do.split("=")[0] for do, _ in aliased(conf, (), "10.80.0.2", "10.80.0.3")[::2]]
    assert numbers == ["sysrc ifconfig_lo1_alias1", "sysrc ifconfig_lo1_alias3"]


def test_an_alias_that_is_in_rc_conf_is_only_added_live() -> None:
    conf = {"ifconfig_lo1_alias0": "inet 10.80.0.2 netmask 255.255.255.255"}
    assert aliased(conf, (), "10.80.0.2") == [live("10.80.0.2")]


def test_an_alias_that_is_live_is_only_added_to_rc_conf() -> None:
    assert aliased({}, ("10.80.0.2",), "10.80.0.2") == [alias(0, "10.80.0.2")]


def test_aliases_that_are_there_are_left_alone() -> None:
    conf = {"ifconfig_lo1": "inet 10.80.0.2/32", "ifconfig_lo1_alias0": "inet 10.80.0.3/32"}
    assert aliased(conf, ("10.80.0.2", "10.80.0.3"), "10.80.0.2", "10.80.0.3") == []


def test_an_interface_without_an_address_is_brought_up_and_down_again() -> None:
    """The first address would bring it up, with one of IPv6, which would stay."""
    facts = {RcConf: {}, Interfaces: {"lo1": ()}}
    first, *_ = reversible(address.aliases, facts, interface="lo1", addresses=("10.80.0.2",))
    assert first.do == "ifconfig lo1 up"
    assert first.undo == (
        "if ! ifconfig lo1 | grep -q '[[:space:]]inet '; then "
        "ifconfig lo1 inet6 fe80::1%lo1 delete 2>/dev/null; ifconfig lo1 down; fi"
    )


def test_an_alias_of_lo10_is_none_of_lo1() -> None:
    """Otherwise the address would be gone after the next boot."""
    conf = {"ifconfig_lo10_alias0": "inet 10.80.0.2/32"}
    assert aliased(conf, (), "10.80.0.2") == [alias(0, "10.80.0.2"), live("10.80.0.2")]


def test_those_of_jails_that_answer_at_several_addresses_of_the_host_come_last() -> None:
    """Neither one that others have, nor one that rc.conf or jail.conf names."""
    conf = {"ifconfig_lo1_alias0": "inet 10.80.0.9/32"}
    facts = {
        RcConf: conf,
        Interfaces: {"lo1": ("10.80.0.9",)},
        **two_addresses("10.80.0.254", "10.80.0.9"),
    }
    commands = reversible(
        address.aliases, facts, interface="lo1", addresses=["10.80.0.2"], ways=ANSWERS
    )
    assert pairs(commands) == [
        alias(1, "10.80.0.2"),
        live("10.80.0.2"),
        alias(2, "10.80.0.253"),
        live("10.80.0.253"),
    ]
