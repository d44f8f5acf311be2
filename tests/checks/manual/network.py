"""Addresses, ports and ipfw rules: live, and for the next boot."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from operations.doors import Doors, Ways
from rollout.site import Site


def interface_has_address(site: Site, interface: str, address: str) -> Iterator[Look]:
    yield Look(f"ifconfig {interface} | grep -w 'inet {address}'", f"inet {address} {ANY}")
    yield Look(f"grep -h 'inet {address}/' /etc/rc.conf", f"{ANY}inet {address}/{ANY}")


def further_addresses_are_there(site: Site, interface: str, ways: Ways) -> Iterator[Look]:
    """Those to which datagrams are led: nothing is printed."""
    missing = f'ifconfig {interface} | grep -qw "inet $each" || echo $each'
    yield Look(f"for each in $({_ends(ways)}); do {missing}; done")


def further_addresses_only_answer(site: Site, ways: Ways) -> Iterator[Look]:
    """sshd listens at every address of the host, and does not answer there: nothing is printed."""
    first = " ".join(f"-e {each.jail}" for each in ways.each if isinstance(each, Doors))
    open_ = f"! nc -z -w 2 $each {site.host.port} >/dev/null 2>&1 || echo $each"
    yield Look(f"for each in $({_ends(ways)} | grep -vxF {first}); do {open_}; done")


def _ends(ways: Ways) -> str:
    shown = "; ".join(f"ipfw nat {each.nat} show config" for each in ways.each)
    return f"{{ {shown}; }} | grep -o 'redirect_addr [0-9.]*' | awk '{{print $2}}' | sort -u"


def addresses_of_rc_conf_are_up(site: Site) -> Iterator[Look]:
    """Each address that rc.conf gives the cards must be among those that they have."""
    yield Look(
        "grep -hE '^(ifconfig|ipv4_addrs)_' /etc/rc.conf; ifconfig -a | grep '[[:space:]]inet '",
        ANY,
    )


def port_answers(site: Site, name: str, port: int) -> Iterator[Look]:
    yield Look(f"nc -z -w 10 {name} {port} && echo it answers", f"{ANY}it answers")


def port_is_closed_on_localhost(site: Site, port: int) -> Iterator[Look]:
    yield Look(f"nc -z -w 10 127.0.0.1 {port} || echo closed", f"{ANY}closed")


def ipfw_is_loaded(site: Site) -> Iterator[Look]:
    yield Look("kldstat -q -m ipfw && kldstat -q -m ipfw_nat && echo loaded", "loaded")


def rules_return_with_the_firewall(site: Site, script: str) -> Iterator[Look]:
    yield Look(f"sysrc -n firewall_coscripts | grep -w {script}", f"{ANY}{script}{ANY}")


def ipfw_set_is_enabled(site: Site, set: int) -> Iterator[Look]:
    """A set is enabled or disabled as a whole; ipfw marks each rule of a disabled one DISABLED."""
    yield Look(f"ipfw -S list | grep ' set {set} ' | grep -v DISABLED", f"{ANY} set {set} {ANY}")


def ipfw_rules_are_saved_for_boot(site: Site, part: str, path: str) -> Iterator[Look]:
    set = site.places[part].set
    live = f"ipfw -S list | sed -n 's/^0*\\([0-9]* set {set} \\)/add \\1/p'"
    yield Look(
        f'[ "$({live})" = "$(grep \'^add \' {path} | sort -snk 2)" ] && echo the same', "the same"
    )


def the_hosts_rules_still_decide(site: Site, set: int, ways: Ways) -> Iterator[Look]:
    """Rules of the host behind ours would come too late for what ours redirect."""
    yield from ipfw_set_is_enabled(site, set)
    first, last = ways.beside.sets
    theirs = "$3 < F || $3 > L".replace("F", str(first)).replace("L", str(last))
    yield Look(f"ipfw -S list | awk '({theirs}) && !/^65535 /'")
