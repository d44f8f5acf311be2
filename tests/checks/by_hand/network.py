"""Addresses and rules, live and for the next boot."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def has_address(site: Site, interface: str, address: str) -> Iterator[Look]:
    yield Look(f"ifconfig {interface} | grep -w 'inet {address}'", f"inet {address} {ANY}")
    yield Look(f"grep -h 'inet {address}/' /etc/rc.conf", f"{ANY}inet {address}/{ANY}")


def ipfw_is_loaded(site: Site) -> Iterator[Look]:
    yield Look("kldstat -q -m ipfw && kldstat -q -m ipfw_nat && echo loaded", "loaded")


def set_is_on(site: Site, set: int) -> Iterator[Look]:
    """A set is on or off as a whole; DISABLED stands before the rules of one that is off."""
    yield Look(f"ipfw -S list | grep ' set {set} ' | grep -v DISABLED", f"{ANY} set {set} {ANY}")


def rules_return_at_boot(site: Site, part: str, path: str) -> Iterator[Look]:
    number = site.places[part].number
    live = f"ipfw -S list | sed -n 's/^{number:05} /add {number} /p'"
    yield Look(f'[ "$({live})" = "$(grep \'^add \' {path})" ] && echo the same', "the same")
