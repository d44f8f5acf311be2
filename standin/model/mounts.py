"""The mount table: real mounts in the private namespace, described as FreeBSD would."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from pathlib import Path

from standin.linux import syscalls
from standin.linux.rootdir import RootDir

# Mounted for real; ufs and fdescfs are only entries of the table.
REAL_KINDS = ("nullfs", "tmpfs", "devfs")
KINDS = (*REAL_KINDS, "ufs", "fdescfs")


@dataclass(frozen=True)
class Mount:
    source: str
    target: str
    kind: str
    read_only: bool = False
    dump: str = "0 0"
    is_real: bool = True
    limits: tuple[str, ...] = ()

    @property
    def options(self) -> str:
        return ",".join(["ro" if self.read_only else "rw", *self.limits])

    def fstab_line(self) -> str:
        """As `mount -p` prints it: tabs up to the columns of fstab(5)."""
        return (
            f"{_column(self.source)}{_column(self.target)}{self.kind}\t{self.options}\t"
            f"{'' if len(self.options) >= 8 else chr(9)}{self.dump}\n"
        )


def _column(text: str) -> str:
    return text + (" " if len(text) >= 24 else "\t" * (3 - len(text) // 8))


class Mounts:
    """Entries in mount order. Paths are those of the host, with links resolved."""

    def __init__(self, rootdir: RootDir, devices: Path, *, light: bool = False) -> None:
        self.rootdir = rootdir
        self.table: list[Mount] = []
        self._devices = devices
        # Random bytes take a stand-in's dd a fifth of what all its programs take.
        self._random = "zero" if light else "urandom"

    def prepare_devices(self) -> None:
        """Make what every devfs mount shows: a tmpfs with this machine's harmless nodes."""
        self._devices.mkdir(exist_ok=True)
        syscalls.mount("tmpfs", self._devices, "tmpfs", 0, "mode=755")
        for name in ("null", "zero", "random", "urandom", "full"):
            (self._devices / name).touch()
            source = self._random if name.endswith("random") else name
            syscalls.bind(Path("/dev") / source, self._devices / name)
        (self._devices / ".proc").mkdir()
        syscalls.bind(Path("/proc"), self._devices / ".proc", deep=True)
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            (self._devices / name).symlink_to(f"/dev/.proc/self/fd/{number}")

    def at(self, target: str) -> Mount | None:
        return next((entry for entry in reversed(self.table) if entry.target == target), None)

    def over(self, path: str) -> Mount:
        """The file system that holds this path (links resolved)."""
        inside = [
            entry for entry in self.table if (path + "/").startswith(entry.target.rstrip("/") + "/")
        ]
        return max(inside, key=lambda entry: len(entry.target))

    def mount(self, entry: Mount) -> None:
        """Raises OSError as mount(2) does: EDEADLK for what is seen there already."""
        if entry.kind == "nullfs":
            there = self.over(entry.target)
            seen = there.source + entry.target[len(there.target) :]
            shown = there.kind == "nullfs" and seen == entry.source
            apart = self.at(entry.source) is not None and there.target != entry.target
            if entry.source == entry.target or (shown and not apart):
                raise OSError(errno.EDEADLK, "Resource deadlock avoided", entry.target)
        if entry.is_real:
            self._mount_really(entry)
        self.table.append(entry)

    def _mount_really(self, entry: Mount) -> None:
        target = self.rootdir.root / entry.target[1:]
        if not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", entry.target)
        if entry.kind == "nullfs":
            source = self.rootdir.root / entry.source[1:]
            syscalls.bind(source, target, read_only=entry.read_only, limits=entry.limits)
        elif entry.kind == "tmpfs":
            syscalls.mount("tmpfs", target, "tmpfs", syscalls.MS_RDONLY if entry.read_only else 0)
        else:
            syscalls.bind(self._devices, target, deep=True)

    def mount_disk(self, entry: Mount, files: Path) -> None:
        """Mount a file system whose files are in this directory."""
        syscalls.bind(files, self.rootdir.root / entry.target[1:], read_only=entry.read_only)
        self.table.append(entry)

    def umount(self, entry: Mount, *, force: bool = False) -> None:
        """Raises OSError(EBUSY) when a process is in there, or a nullfs shows part of it."""
        shown = [other for other in self.table if other.kind == "nullfs"]
        if not force and any(self.over(other.source) is entry for other in shown):
            raise OSError(errno.EBUSY, "Device busy", entry.target)
        if entry.is_real:
            detach = force or entry.kind == "devfs"
            syscalls.umount(self.rootdir.root / entry.target[1:], force=detach)
        self.table.remove(entry)

    def update(self, entry: Mount, *, read_only: bool) -> None:
        if entry.kind == "nullfs":
            raise OSError(errno.EOPNOTSUPP, "Operation not supported", entry.target)
        if entry.is_real:
            syscalls.remount(self.rootdir.root / entry.target[1:], read_only=read_only)
        self.table[self.table.index(entry)] = replace(entry, read_only=read_only)
