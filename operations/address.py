"""Cloned interfaces and the addresses on them, live and in rc.conf."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import operation

from operations import firewall, rc
from operations.command import Commands, Reversible
from operations.doors import Ways
from operations.facts import Interfaces, RcConf


@operation()
def cloned_interface(interface: str) -> Commands:
    """Create a cloned interface (lo1), now and at boot.

    The undo destroys it, now and at boot, only if no address is left on it: others may use it by
    then.
    """
    at_boot = list(rc.word._inner("cloned_interfaces", interface))
    if interface in host.get_fact(Interfaces):
        yield from at_boot
        host.noop(f"{interface} exists")
        return
    for each in at_boot:
        undo = f"if ! ifconfig {interface} >/dev/null 2>&1; then {each.undo}; fi"
        yield Reversible(each.do, undo=undo, says=each.says, keep=each.keep, sees=each.sees)
    yield Reversible(
        f"ifconfig {interface} create",
        undo=f"if ifconfig {interface} >/dev/null 2>&1 && "
        f"! ifconfig {interface} | grep -q '[[:space:]]inet '; "
        f"then ifconfig {interface} destroy; fi",
        live=True,
        says=f"create interface {interface}",
    )


@operation()
def aliases(interface: str, addresses: Sequence[str], ways: Ways | None = None) -> Commands:
    """Put /32 aliases on an interface, now and at boot; existing ones stay as they are.

    With `ways`, those at which the jails answer further addresses of the host over UDP come after
    `addresses`. A jail without a way of its own to choose sends from the first that it has there.

    The aliases are in rc.conf: jail(8) removes one that jail.conf names when the jail stops, even
    if it existed before. network.subr stops at the first missing number, so they take the first
    free ones.
    """
    conf = host.get_fact(RcConf) or {}
    there = host.get_fact(Interfaces).get(interface)
    configured = {
        value.split()[1].split("/")[0]
        for name, value in conf.items()
        if re.fullmatch(rf"ifconfig_{interface}(_alias\d+)?", name)
        and value.split()[:1] == ["inet"]
        and value.split()[1:]
    }
    if there == ():
        yield _up(interface)
    number = 0
    more = [end for ends in firewall.further(ways).values() for end in ends.values()]
    for address in (*addresses, *map(str, more)):
        if address not in configured:
            while f"ifconfig_{interface}_alias{number}" in conf:
                number += 1
            yield from rc.variable._inner(
                f"ifconfig_{interface}_alias{number}", f"inet {address}/32"
            )
            number += 1
        if address not in (there or ()):
            yield Reversible(
                f"ifconfig {interface} inet {address}/32 alias",
                undo=f"if ifconfig {interface} 2>/dev/null "
                f"| grep -q '[[:space:]]inet {address.replace('.', '[.]')}[[:space:]/]'; "
                f"then ifconfig {interface} inet {address} -alias; fi",
                live=True,
                says=f"add {address} to {interface}",
            )


def _up(interface: str) -> Reversible:
    """Before its first address, which would bring it up, and give it one of IPv6 besides."""
    return Reversible(
        f"ifconfig {interface} up",
        undo=f"if ! ifconfig {interface} | grep -q '[[:space:]]inet '; then "
        f"ifconfig {interface} inet6 fe80::1%{interface} delete 2>/dev/null; "
        f"ifconfig {interface} down; fi",
        live=True,
        says=f"bring {interface} up",
    )
