"""Addresses, ports and ipfw rules: live, and for the next boot."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def interface_has_address(site: Site, interface: str, address: str) -> Iterator[Look]:
    yield Look(f"ifconfig {interface} | grep -w 'inet {address}'", f"inet {address} {ANY}")
    yield Look(f"grep -h 'inet {address}/' /etc/rc.conf", f"{ANY}inet {address}/{ANY}")


def port_answers(site: Site, name: str, port: int) -> Iterator[Look]:
    yield Look(f"nc -z -w 10 {name} {port} && echo it answers", f"{ANY}it answers")


def port_is_closed_on_localhost(site: Site, port: int) -> Iterator[Look]:
    yield Look(f"nc -z -w 10 127.0.0.1 {port} || echo closed", f"{ANY}closed")


def ipfw_is_loaded(site: Site) -> Iterator[Look]:
    yield Look("kldstat -q -m ipfw && kldstat -q -m ipfw_nat && echo loaded", "loaded")


def rules_return_with_the_firewall(site: Site, script: str) -> Iterator[Look]:
    yield Look(f"sysrc -n firewall_coscripts | grep -w {script}", f"{ANY}{script}{ANY}")


def udp_is_redirected_at_every_address(site: Site, service: str) -> Iterator[Look]:
    wanted = site.services[service].addresses or (site.host.wan_address,)
    for address in wanted:
        yield Look(
            f"ipfw nat {site.places[service].number} show config | grep -w {address}",
            f"{ANY} {address}{ANY}",
        )


def ipfw_set_is_enabled(site: Site, set: int) -> Iterator[Look]:
    """A set is enabled or disabled as a whole; ipfw marks each rule of a disabled one DISABLED."""
    yield Look(f"ipfw -S list | grep ' set {set} ' | grep -v DISABLED", f"{ANY} set {set} {ANY}")


def ipfw_rules_are_saved_for_boot(site: Site, part: str, path: str) -> Iterator[Look]:
    number = site.places[part].number
    live = f"ipfw -S list | sed -n 's/^{number:05} /add {number} /p'"
    yield Look(f'[ "$({live})" = "$(grep \'^add \' {path})" ] && echo the same', "the same")
