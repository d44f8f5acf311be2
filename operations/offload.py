"""Offloading of an interface (TSO, LRO), which must be off where nat translates packets."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import files
from operations.command import Commands, Reversible, quote
from operations.facts import Capabilities

HARMFUL = {"TSO4": "tso4", "TSO6": "tso6", "LRO": "lro", "VLAN_HWTSO": "vlanhwtso"}
"""The name that ifconfig(8) prints for an enabled option -> its keyword to change it."""

_OFF = "-tso -lro -vlanhwtso"


@operation()
def off(interface: str, at_boot: str) -> Commands:
    """Disable TSO, LRO and VLAN TSO, now and at boot; the undo enables what was enabled.

    libalias cannot translate a segment that the card would split later: behind nat an upload stops
    after 65,536 bytes (seen on 13.2). `at_boot` is a file with ifconfig's arguments, which an rc
    script reads at boot. Not the interface's line in rc.conf, which administrators edit.
    """
    there = host.get_fact(Capabilities, interface=interface)
    if there is None:
        raise OperationError(f"the host has no interface {interface}; see host.wan_interface")
    yield from files.put._inner(at_boot, f"{interface} {_OFF}\n")
    on = [word for shown, word in HARMFUL.items() if shown in there]
    if not on:
        host.noop(f"{interface} has none of {', '.join(HARMFUL)} enabled")
        return
    yield Reversible(
        f"ifconfig {quote(interface)} {_OFF}",
        undo=f"ifconfig {quote(interface)} {' '.join(on)}",
        live=True,
        says=f"disable {', '.join(sorted(set(there) & set(HARMFUL)))} on {interface}",
    )


def harmful(options: Sequence[str]) -> list[str]:
    """The enabled options of an interface that must be off."""
    return [name for name in HARMFUL if name in options]
