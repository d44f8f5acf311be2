"""Addresses, ports and ipfw rules: live, and for the next boot."""

from __future__ import annotations

from typing import Any

from operations.doors import Ways
from operations.facts import Rules
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
    assert live, f"ipfw set {set} has no rule: expected {len(on_disk)} of them; {_RESTORE}"
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
