"""Counts what compiled steps add, change and remove on the host, from their commands.

Each thing is counted once, even if several steps name it: every step is compiled for the host as it
is now, so several may set the same variable.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from rollout.host.bundle import Command

Kind = Literal[
    "jail",
    "address",
    "ipfw rule",
    "ipfw rule set",
    "ipfw nat instance",
    "mount",
    "rc.conf variable",
]
How = Literal["added", "changed", "removed"]
PLURALS: Mapping[Kind, str] = {
    "jail": "jails",
    "address": "addresses",
    "ipfw rule": "ipfw rules",
    "ipfw rule set": "ipfw rule sets",
    "ipfw nat instance": "ipfw nat instances",
    "mount": "mounts",
    "rc.conf variable": "rc.conf variables",
}

_ADDED: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("jail", re.compile(r"^service jail onestart (\S+)")),
    ("address", re.compile(r"^ifconfig \S+ inet6? (\S+)/\d+ alias")),
    ("ipfw rule", re.compile(r"^ipfw -q add (\d+ set \d+ .+)")),
    ("ipfw nat instance", re.compile(r"^ipfw -q nat (\d+) config ")),
)
_FSTAB = re.compile(r"> (\S+)/\.fstab\.cellblock\) <<")
_MOUNT = re.compile(r"^\S+\t(\S+)\t\S+\t\S+\t0\t0$", re.MULTILINE)
_DEVFS = re.compile(r"^(\S+) \{.*^\s*mount\.devfs;", re.MULTILINE | re.DOTALL)
_VARIABLE = re.compile(r"^sysrc ([A-Za-z_]\w*)\+?=")
_OFF = re.compile(r"^ipfw -q set disable (\d+)$")


def count(commands: Iterable[Command]) -> dict[How, dict[Kind, int]]:
    """How many of each kind are added, changed and removed."""
    found: dict[How, dict[Kind, set[str]]] = {"added": {}, "changed": {}, "removed": {}}
    for command in commands:
        for how, kind, name in _of(command):
            found[how].setdefault(kind, set()).add(name)
    added = found["added"].get("rc.conf variable", set())
    found["changed"]["rc.conf variable"] = found["changed"].get("rc.conf variable", set()) - added
    return {
        how: {kind: len(kinds[kind]) for kind in PLURALS if kinds.get(kind)}
        for how, kinds in found.items()
    }


def _of(command: Command) -> Iterator[tuple[How, Kind, str]]:
    for kind, pattern in _ADDED:
        if match := pattern.match(command.do):
            yield "added", kind, match[1]
    if match := _FSTAB.search(command.do):
        yield from (("added", "mount", point) for point in _MOUNT.findall(command.do))
    if match := _DEVFS.search(command.do):
        yield "added", "mount", f"{match[1]} devfs"
    # A set is also disabled while it is filled. Only the undo of a removal restores old rules.
    if (match := _OFF.match(command.do)) and "ipfw -S list" in (command.undo or ""):
        yield "removed", "ipfw rule set", match[1]
    if match := _VARIABLE.match(command.do):
        name, undo = match[1], command.undo or ""
        absent = f"sysrc -x {name}" in undo or f"sysrc -ix {name}" in undo
        yield "added" if absent else "changed", "rc.conf variable", name


def text(counts: Mapping[How, Mapping[Kind, int]]) -> str:
    """The last lines of a plan."""
    lines = []
    for how, kinds in counts.items():
        named = [
            f"{number} {kind if number == 1 else PLURALS[kind]}" for kind, number in kinds.items()
        ]
        line = f"{how + ':':<9}{', '.join(named) or 'nothing'}"
        lines += textwrap.wrap(line, 79, subsequent_indent=" " * 9)
    return "\n".join(lines)
