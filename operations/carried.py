"""What a daemon's configuration names besides what the site file says: brought into its jail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from shlex import quote
from typing import Any, NamedTuple, Protocol

from pyinfra import host
from pyinfra.api import operation

from operations import jail, mount
from operations.command import Commands, Reversible
from operations.facts import mounts_below
from operations.mount import Nullfs

LOCAL_ETC = "/usr/local/etc"
_SYSTEMS = (
    *("/boot", "/dev", "/etc", "/proc", "/rescue", "/root", "/var/db", "/var/run"),
    *("/tmp", "/var/tmp"),  # noqa: S108 # names, for a comparison
)
"""Nothing in these directories of the host is shown to a jail without being asked for."""


class Named(NamedTuple):
    """A path that a configuration names: what is there, and the line that names it.

    `kind` is directory, file or other. `below` are the mounts in it, as the rests of their paths.
    `real` is where it is if /home is a link, as it is in jails then (jail.tree).
    """

    path: str
    kind: str
    said: str
    below: tuple[str, ...] = ()
    real: str = ""


_REST = '"@ ${at#"$PWD"} $each"'
KINDS = (
    'set -f; mounts=$(mount -p | awk "{print \\$2}"); while IFS= read -r each; do '
    'if [ -d "$each" ]; then echo "= directory $each"; cd -P -- "$each" && '
    '{ case $each in (/home/*) [ ! -L /home ] || echo "~ $PWD $each";; esac; } && '
    f"{mounts_below(_REST)}; "
    'elif [ -f "$each" ]; then echo "= file $each"; '
    'elif [ -e "$each" ]; then echo "= other $each"; fi; done'
)
"""sh that reads paths, and prints "= KIND PATH" and, for what is mounted in one, "@ REST PATH".

For a path by way of the link /home "~ REAL PATH", too."""


@dataclass(frozen=True)
class There:
    """What the host has of some paths: each with its kind, the mounts in it, and its real path
    (`Named`).
    """

    kinds: tuple[tuple[str, str], ...] = ()
    below: tuple[tuple[str, str], ...] = ()
    real: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, output: Sequence[str]) -> There:
        """From the lines that `KINDS` prints, among others."""
        rows = [row.split(" ", 2) for row in output if row[:2] in ("= ", "@ ", "~ ")]
        found = {mark: tuple((row[2], row[1]) for row in rows if row[0] == mark) for mark in "=@~"}
        return cls(found["="], found["@"], found["~"])

    def named(self, said: Iterable[tuple[str, str]]) -> tuple[Named, ...]:
        """Of paths, each with the line that names it: those that the host has."""
        there, real = dict(self.kinds), dict(self.real)
        below = {path: tuple(rest for at, rest in self.below if at == path) for path in there}
        return tuple(
            Named(path, there[path], place, below[path], real.get(path, ""))
            for path, place in sorted(dict(said).items())
            if path in there
        )


Ask = Callable[..., Any]
"""Gives a fact: its class, and its arguments by name."""


class Names(Protocol):
    """A configuration that names paths."""

    def named(self, ask: Ask) -> tuple[Named, ...]: ...


@dataclass(frozen=True)
class Further:
    """What some configurations name and a jail does not have by its site file.

    `there` are the paths that it has; `trees` is where jails live on the host.
    """

    names: tuple[Names, ...]
    there: tuple[str, ...]
    trees: str

    def _lacking(self, ask: Ask) -> list[Named]:
        found = [each for name in self.names for each in name.named(ask)]
        return [
            each
            for each in found
            if not is_in(each.path, self.there) and not (each.real and is_in(each.real, self.there))
        ]

    def copied(self, ask: Ask) -> list[Named]:
        """Configuration, which is copied as the rest of it is."""
        return [each for each in self._lacking(ask) if _is_local(each)]

    def shown(self, ask: Ask) -> list[Named]:
        """Directories that are mounted, since the daemon writes or others change what is there."""
        found = {each.path: each for each in self._lacking(ask) if self._is_shown(each)}
        return [
            found[path]
            for path in sorted(found)
            if not is_in(path, [other for other in found if other != path])
        ]

    def lost(self, ask: Ask) -> list[Named]:
        """What is not brought along: sockets, single files, and the system's own directories."""
        lacking = self._lacking(ask)
        return [each for each in lacking if not _is_local(each) and not self._is_shown(each)]

    def _is_shown(self, named: Named) -> bool:
        """Not a directory that has jails, or the system's own, in it; none that fstab(5) cannot
        name.
        """
        others = ("/usr/local", "/usr/home", "/var/log", self.trees, *_SYSTEMS)
        return (
            named.kind == "directory"
            and not has_space(named.path)
            and not is_in(named.path, (*_SYSTEMS, LOCAL_ETC, self.trees))
            and not any(is_in(each, (named.path,)) for each in others)
        )


def _is_local(named: Named) -> bool:
    return named.kind in ("directory", "file") and named.path.startswith(f"{LOCAL_ETC}/")


def has_space(path: str) -> bool:
    """Whether fstab(5) would take a path for two."""
    return any(letter.isspace() for letter in path)


def is_in(path: str, places: Sequence[str]) -> bool:
    """Whether a path is one of these places, or below one; /home may be a link to usr/home."""
    at = _folder(path)
    ways = (at, f"/usr{at}") if at.startswith("/home/") else (at,)
    return any(way.startswith(place) for way in ways for place in map(_folder, places))


@lru_cache(maxsize=4096)
def _folder(path: str) -> str:
    """With one slash at its end, and none doubled."""
    return f"{str(PurePosixPath(path)).rstrip('/')}/"


@operation()
def brought(further: Further, root: str, private: str) -> Commands:
    """Copy what else the configuration names below /usr/local/etc, and prepare mount points.

    A link is copied as what it leads to. Only before the jail has ever run. Undone with the tree.
    """
    for each in further.copied(host.get_fact):
        into = private + each.path.removeprefix(LOCAL_ETC)
        yield Reversible(
            (_folder_copied if each.kind == "directory" else _file_copied)(each.path, into),
            undo=":",
            says=f"copy {each.path}, which is named in {each.said}, to {into}",
        )
    if points := [root + each.path for each in further.shown(host.get_fact)]:
        yield Reversible(
            f"mkdir -p {' '.join(map(quote, points))}",
            undo=":",
            says=f"create the mount points {', '.join(points)}",
        )


def _file_copied(path: str, into: str) -> str:
    return f"mkdir -p {quote(into.rpartition('/')[0])} && cp -p {quote(path)} {quote(into)}"


def _folder_copied(path: str, into: str) -> str:
    return f"mkdir -p {quote(into)} && {jail.packed(path, into, '.')}"


@operation()
def table(
    further: Further, root: str, path: str, mounts: Sequence[Nullfs], needed: str = ""
) -> Commands:
    """Write the fstab of a jail (mount.table), with the directories that are brought along."""
    more = [
        Nullfs(each.path + rest, root + each.path + rest, writable=True, below=bool(rest))
        for each in further.shown(host.get_fact)
        for rest in ("", *each.below)
    ]
    yield from mount.table._inner(path=path, mounts=mounts, needed=needed, more=more)
