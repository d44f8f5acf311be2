"""Addresses, ports and ipfw rules: live, and for the next boot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from operations.doors import Ways
from operations.facts import RcConf, Rules
from rollout.site import Site
from tests.checks.conftest import HostFirewall


def test_interface_has_address(
    interfaces: dict[str, str], rc_conf: str, interface: str, address: str
) -> None:
    there = interfaces.get(interface, "")
    assert f"inet {address} " in there, f"interface {interface} does not have address {address}"
    assert f'"inet {address}/' in rc_conf, (
        f"rc.conf does not set address {address}: the next boot would lose it"
    )


def test_further_addresses_are_there(
    firewall: HostFirewall,
    interfaces: dict[str, str],
    rc_conf: str,
    interface: str,
    ways: Ways,
) -> None:
    """Of the jails that answer over UDP at several addresses of the host."""
    further = [end for ends in firewall.of_jails(ways).values() for end in ends.values()]
    for each in further:
        test_interface_has_address(interfaces, rc_conf, interface, str(each))


def test_further_addresses_only_answer(
    host: Any, firewall: HostFirewall, site: Site, ways: Ways
) -> None:
    """Over UDP, what was asked of them. All else is denied, or a jail would get round the policy
    with such an address as its source: asked of sshd, which listens at every address.
    """
    port = site.host.port
    further = [end for ends in firewall.of_jails(ways).values() for end in ends.values()]
    tries = [f"! nc -z -w 2 {end} {port} >/dev/null 2>&1 || echo {end} &" for end in further]
    found = host.check_output(" ".join([*tries, "wait"])).split() if tries else []
    assert not found, (
        f"port {port} at {', '.join(sorted(found))}, asked from the host: expected no answer: "
        f"these addresses of jails are for answers over UDP alone; {_RESTORE}"
    )


_ADDRESSES = r"((?:\d+\.){3})(\d+)(?:-(\d+))?(?![\d.])"
_INET = re.compile(rf"\binet\s+(?:vhid\s.*?\s)?(?:alias\s+)?{_ADDRESSES}")
"""Not the other end of a tunnel; with vhid it is an address of carp(4)."""


def at_boot(conf: Mapping[str, str], interface: str) -> Iterator[tuple[str, str]]:
    """The rc variables that give an interface IPv4 addresses at boot, and each of these.

    network.subr(8): of the numbered aliases those up to the first number that is missing; 1-3 in
    the last place means three addresses.
    """
    interface = re.sub(r"[./+-]", "_", interface)  # as of em0.7
    several = f"ipv4_addrs_{interface}"
    names = [f"ifconfig_{interface}", f"ifconfig_{interface}_aliases", several]
    number = 0
    while f"ifconfig_{interface}_alias{number}" in conf:
        names.append(f"ifconfig_{interface}_alias{number}")
        number += 1
    for name in names:
        pattern = re.compile(rf"(?<!\S){_ADDRESSES}") if name == several else _INET
        for start, first, last in pattern.findall(conf.get(name, "")):
            for each in range(int(first), int(last or first) + 1):
                yield name, f"{start}{each}"


def test_addresses_of_rc_conf_are_up(interfaces: dict[str, str], rc_conf: str) -> None:
    """One that comes with the next restart would not be redirected to the jails."""
    conf = RcConf().process(rc_conf.splitlines())
    down = [
        f'{name} in rc.conf: {address} is not on {card} now: "ifconfig {card} inet {address}/32 '
        'alias"'
        for card in interfaces
        for name, address in at_boot(conf, card)
        if f"inet {address} " not in interfaces[card]
    ]
    assert not down, (
        f"{'; '.join(down)}: bring it up as rc.conf has it, or take it out of rc.conf: the ports "
        "of services are redirected at the addresses that the host has when they move"
    )


def test_port_answers(host: Any, name: str, port: int) -> None:
    answer = host.run("nc -z -w 10 %s %s", name, str(port))
    assert answer.rc == 0, f"{name}:{port}, asked from the host: no answer"


def test_port_is_closed_on_localhost(host: Any, port: int) -> None:
    answer = host.run("nc -z -w 10 127.0.0.1 %s", str(port))
    assert answer.rc != 0, f"127.0.0.1:{port} on the host: expected no answer, but it answers"


def test_ipfw_is_loaded(host: Any) -> None:
    for module in ("ipfw", "ipfw_nat"):
        assert host.run("kldstat -q -m %s", module).rc == 0, f"{module} is not loaded"
    answer = host.run("ipfw list")
    assert answer.rc == 0, f"ipfw list fails: {answer.stderr.strip()}"


def test_rules_return_with_the_firewall(host: Any, script: str) -> None:
    """`service ipfw restart` flushes the rules; afterwards it runs the scripts of this variable."""
    there = host.run("sysrc -n firewall_coscripts").stdout.strip()
    assert script in there.split(), (
        f'firewall_coscripts in rc.conf: expected {script}, found "{there}": `service ipfw '
        "restart` would remove Cellblock's rules, and nothing would add them again"
    )


_RESTORE = "`service cellblock_firewall start` adds the missing rules"


def test_ipfw_set_is_enabled(rules: list[str], set: int) -> None:
    ours = [rule for rule in rules if f" set {set} " in rule]
    assert ours, (
        f"ipfw set {set} has no rules: someone removed them, perhaps by a flush; {_RESTORE}"
    )
    assert not [rule for rule in ours if "DISABLED" in rule], f"ipfw set {set} is disabled"


def test_ipfw_rules_are_saved_for_boot(
    host: Any, rules: list[str], site: Site, part: str, path: str
) -> None:
    set = site.places[part].set
    live = [f"add {int(row[:5])}{row[5:]}" for row in rules if f" set {set} " in row[5:14]]
    on_disk = [row for row in host.check_output("cat %s", path).splitlines() if row[:4] == "add "]
    # A service that answers over UDP at 127.0.0.1 alone has none for its answers.
    assert live or not on_disk, (
        f"ipfw set {set} has no rule: expected {len(on_disk)} of them; {_RESTORE}"
    )
    lost = [f"only in ipfw: {row}" for row in live if row not in on_disk]
    more = [f"only in the file: {row}" for row in on_disk if row not in live]
    assert live == by_number(on_disk), (
        f"{path} differs from the rules that ipfw has now, so the next boot would load others: "
        + ("; ".join([*lost, *more]) or "the same rules in another order")
    )


def by_number(lines: list[str]) -> list[str]:
    """As ipfw sorts them, which keeps the order of those with one number."""
    return sorted(lines, key=lambda line: int(line.split()[1]))


def test_the_hosts_rules_still_decide(
    firewall: HostFirewall, rules: list[str], set: int, ways: Ways
) -> None:
    """Each rule of ours has to be directly before the rule of the host that lets its packets pass,
    also when the administrator has changed these since. A set has no rules if its service answered
    at 127.0.0.1 alone, which another set leads to the jail.
    """
    there = [each for each in Rules().process(rules) if each.set == set]
    live = {(each.number, each.body) for each in there}
    wanted = dict.fromkeys(firewall.placed(ways))
    assert live or not wanted, (
        f"ipfw set {set} has no rules: someone removed them, perhaps by a flush; {_RESTORE}"
    )
    assert all(each.enabled for each in there), f"ipfw set {set} is disabled"
    missing = "; ".join(f"{number} {body}" for number, body in wanted if (number, body) not in live)
    more = "; ".join(f"{number} {body}" for number, body in sorted(live - wanted.keys()))
    assert not missing, (
        f"the host's own rules in ipfw are not those of the day when {ways} was set up: its rules "
        f"should now be {missing}, and are {more or 'none'}; go back to before that step and apply "
        "again, or restore the host's rules"
    )
