"""What an interface does for the processor, and must not where packets are translated."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import files
from operations.command import Commands, Reversible, quote
from operations.facts import Capabilities

HARMFUL = {"TSO4": "tso4", "TSO6": "tso6", "LRO": "lro", "VLAN_HWTSO": "vlanhwtso"}
"""As ifconfig(8) prints what is on -> its word to switch it."""

_OFF = "-tso -lro -vlanhwtso"


@operation()
def off(interface: str, at_boot: str) -> Commands:
    """Switch TSO, LRO and VLAN TSO off, now and at boot; the undo switches on what was on.

    libalias cannot translate a segment that the card would cut up later: behind nat an upload stops
    after 65,536 bytes (seen on 13.2). `at_boot` is a file with a line of ifconfig's arguments for
    whoever reads it at boot. Not the interface's own line in rc.conf, which many hands edit.
    """
    there = host.get_fact(Capabilities, interface=interface)
    if there is None:
        raise OperationError(f"there is no interface {interface}")
    yield from files.put._inner(at_boot, f"{interface} {_OFF}\n")
    on = [word for shown, word in HARMFUL.items() if shown in there]
    if not on:
        host.noop(f"{interface} has none of {', '.join(HARMFUL)} on")
        return
    yield Reversible(
        f"ifconfig {quote(interface)} {_OFF}",
        undo=f"ifconfig {quote(interface)} {' '.join(on)}",
        live=True,
        says=f"switch {', '.join(sorted(set(there) & set(HARMFUL)))} off on {interface}",
    )


def harmful(options: Sequence[str]) -> list[str]:
    """Those of an interface's options that must be off."""
    return [name for name in HARMFUL if name in options]
