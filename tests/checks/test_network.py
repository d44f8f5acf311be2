"""Addresses and rules, live and for the next boot."""

from __future__ import annotations

from typing import Any

from rollout.site import Site


def test_has_address(
    interfaces: dict[str, str], rc_conf: str, interface: str, address: str
) -> None:
    there = interfaces.get(interface, "")
    assert f"inet {address} " in there, f"{interface} does not have {address}"
    assert f'"inet {address}/' in rc_conf, f"{address} will be gone after a reboot: not in rc.conf"


def test_ipfw_is_loaded(host: Any) -> None:
    for module in ("ipfw", "ipfw_nat"):
        assert host.run("kldstat -q -m %s", module).rc == 0, f"{module} is not loaded"
    assert host.run("ipfw list").rc == 0, "ipfw does not answer"


def test_set_is_on(rules: list[str], set: int) -> None:
    ours = [rule for rule in rules if f" set {set} " in rule]
    assert ours, f"ipfw set {set} has no rule"
    assert not [rule for rule in ours if "DISABLED" in rule], f"ipfw set {set} is switched off"


def test_rules_return_at_boot(
    host: Any, rules: list[str], site: Site, part: str, path: str
) -> None:
    number, set = site.places[part]
    live = [f"add {number}{row[5:]}" for row in rules if row.startswith(f"{number:05} ")]
    on_disk = [row for row in host.check_output("cat %s", path).splitlines() if row[:4] == "add "]
    assert live, f"ipfw has no rule of number {number}: expected {len(on_disk)} (set {set})"
    assert live == on_disk, f"{path} has other rules for the next boot than ipfw has now: " + str(
        sorted({*live} ^ {*on_disk})
    )
