"""Mounts what fstab(5) lists, for the host's fstab and for those of jails."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

from standin.linux import syscalls
from standin.model.host import Host
from standin.model.mounts import KINDS, REAL_KINDS, Mount

KERNEL_MODULES = ("nullfs", "tmpfs", "fdescfs")


def mount_line(host: Host, words: list[str]) -> Mount:
    """Mount one line, given as its words: source, target, kind, options, dump, pass."""
    source, target, kind, *rest = words
    options = rest[0].split(",") if rest else ["rw"]
    return mount(host, source, target, kind, options)


def mount(host: Host, source: str, target: str, kind: str, options: list[str]) -> Mount:
    """Raises OSError with the path of the fault."""
    # Inside another devfs there is no directory to mount on: only the mount table gets an entry.
    above = host.mounts.over(host.rootdir.inner(target))
    is_real = kind in REAL_KINDS and above.kind not in ("devfs", "fdescfs")
    if is_real and not host.rootdir.path(target).is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), target)
    if kind == "nullfs":
        if not host.rootdir.path(source).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
        source = host.rootdir.inner(source)
    if kind in KERNEL_MODULES and not host.kernel.has(kind):
        host.kernel.load(kind)
    if kind not in KINDS:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported by device", target)
    entry = Mount(
        source,
        host.rootdir.inner(target),
        kind,
        "ro" in options,
        is_real=is_real,
        limits=tuple(each for each in syscalls.LIMITS if each in options),
    )
    unit = host.memory_disks.unit(source) if kind == "ufs" else None
    if unit is None:
        host.mounts.mount(entry)
    else:
        entry = replace(entry, dump="2 2", is_real=True)
        host.mounts.mount_disk(entry, host.memory_disks.files(unit))
    return entry


def umount_entry(host: Host, entry: Mount) -> None:
    """Unmount as jail(8) does: a busy mount stays, with a message on the console."""
    try:
        host.mounts.umount(entry)
    except OSError as error:
        host.note_console(f"umount: unmount of {entry.target} failed: {error.strerror}\n")


def read(host: Host, file: str) -> list[list[str]]:
    lines = (host.rootdir.read(file) or "").splitlines()
    found = (line.partition("#")[0].split() for line in lines)
    return [words for words in found if len(words) >= 3]
