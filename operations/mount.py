"""The mounts of a jail: its fstab, read by jail(8) as the jail starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import files
from operations.command import Commands
from operations.facts import Path


@dataclass(frozen=True)
class Nullfs:
    """A directory of the host, `source`, seen at `target` (both absolute, on the host).

    An `optional` one is left out where the host has no such directory.
    """

    source: str
    target: str
    writable: bool = False
    optional: bool = False

    def line(self) -> str:
        return f"{self.source}\t{self.target}\tnullfs\t{'rw' if self.writable else 'ro'}\t0\t0"


@operation()
def table(path: str, mounts: Sequence[Nullfs]) -> Commands:
    """Write the fstab of a jail. jail(8) mounts in this order and unmounts in reverse.

    A jail's mounts are made only as it starts: into the tree of a running jail the host would
    follow a link that the jail has planted.
    """
    for mount in mounts:
        for place in (mount.source, mount.target):
            if any(letter.isspace() for letter in place):
                raise OperationError(f"{place!r} has white space: fstab(5) cannot say that")
    there = [each for each in mounts if not each.optional or _is_there(each.source)]
    yield from files.put._inner(path, "".join(mount.line() + "\n" for mount in there))


def _is_there(directory: str) -> bool:
    return host.get_fact(Path, path=directory).kind == "directory"
