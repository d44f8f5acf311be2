"""The mounts of a jail: its fstab, which jail(8) reads when the jail starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import files
from operations.command import Commands, NewFile, Reversible, quote, staged
from operations.facts import IsDirectory, MountedBelow, Path, Restricted


@dataclass(frozen=True)
class Nullfs:
    """A directory of the host, `source`, mounted at `target` (both absolute, on the host).

    An `optional` one is left out if the host has no such directory. With `nosuid` its programs run
    in the jail as whoever calls them, with `noexec` they do not run there. One that is `shown` is
    what a jail has, for the host to see: a jail can make nobody run a program or follow a link
    there. One `below` another of the jail's is a file system of its own on the host.
    """

    source: str
    target: str
    writable: bool = False
    optional: bool = False
    shown: bool = False
    nosuid: bool = False
    noexec: bool = False
    below: bool = False

    def line(self) -> str:
        options = "rw" if self.writable else "ro"
        options += ",nosuid" * (self.nosuid or self.shown)
        options += ",noexec" * (self.noexec or self.shown) + ",nosymfollow" * self.shown
        return f"{self.source}\t{self.target}\tnullfs\t{options}\t0\t0"


@operation()
def table(
    path: str, mounts: Sequence[Nullfs], needed: str = "", more: Sequence[Nullfs] = ()
) -> Commands:
    """Write the fstab of a jail. jail(8) mounts in this order and unmounts in reverse.

    `more` follow, as they are.

    nullfs(5) does not show what is mounted below a directory: each such file system of the host
    gets a line in PATH.below, which another program mounts, as far as the host has it, when the
    jail starts. jail(8) would start no jail that lacks one (seen on 15.0). noexec and nosuid of the
    host's file systems are those of the jail's, too.

    While `needed` succeeds (see files.put) the undo fails: jail(8) needs the file to unmount.

    A jail's mounts are made only when it starts: in the tree of a running jail the host could
    follow a link that the jail has planted.
    """
    mounts = [*_restricted(mounts, _with_mounted_below(mounts)), *more]
    kinds = {each: _kind(each.source) for each in mounts if each.optional}
    for mount in mounts:
        for place in (mount.source, mount.target):
            if any(letter.isspace() for letter in place):
                raise OperationError(
                    f"{place!r} contains white space, which fstab(5) does not allow"
                )
    there = [each for each in mounts if kinds.get(each, "directory") in ("directory", "unknown")]
    text, below = (
        "".join(f"{each.line()}\n" for each in there if each.below is further)
        for further in (False, True)
    )
    host.get_fact(Path, path=f"{path}.below")  # facts are asked all at once
    if below:
        yield from files.put._inner(f"{path}.below", below, needed=needed)
    if "unknown" in kinds.values():
        yield from _sifted(path, text, needed)
    else:
        yield from files.put._inner(path, text, needed=needed)


def _with_mounted_below(mounts: Sequence[Nullfs]) -> list[Nullfs]:
    theirs = [each.source for each in mounts if not each.shown]
    below = host.get_fact(MountedBelow, directories=theirs)
    found: list[Nullfs] = []
    for mount in mounts:
        found.append(mount)
        found += [
            replace(
                mount,
                source=mount.source + rest,
                target=mount.target + rest,
                optional=False,
                below=True,
            )
            for directory, rest in below
            if directory == mount.source
        ]
    return found


def _restricted(named: Sequence[Nullfs], mounts: Sequence[Nullfs]) -> list[Nullfs]:
    """As the file systems that hold the `named` ones, and those below, are mounted."""
    sources = [each.source for each in named if not each.shown]
    known = host.get_fact(Restricted, directories=sources)
    return [
        replace(
            each,
            nosuid=each.nosuid or "nosuid" in known.get(each.source, ()),
            noexec=each.noexec or "noexec" in known.get(each.source, ()),
        )
        for each in mounts
    ]


def _kind(directory: str) -> str:
    return str(host.get_fact(IsDirectory, path=directory).kind)


def _sifted(path: str, text: str, needed: str) -> Commands:
    """The same in a plan without a host: the command skips directories that do not exist."""
    host.get_fact(Path, path=path)
    yield NewFile(path, text)
    new, at = quote(staged(path)), quote(path)
    sift = 'if [ -d "$from" ]; then printf "%s\\t%s\\n" "$from" "$rest"; fi'
    yield Reversible(
        f"while read -r from rest; do {sift}; done < {new} > {new}.there "
        f"&& mv -f {new}.there {at} && rm {new}",
        undo=files.unless(needed, path, f"rm -f {new}.there {at}"),
        says=f"create {path}, without the directories that the host does not have",
    )
