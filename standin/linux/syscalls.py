"""The few Linux system calls that Python 3.11 does not offer."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Iterable
from pathlib import Path

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
LIMITS = {"noexec": 8, "nosuid": 2, "nosymfollow": 256}
"""What a mount can take away, in the order in which FreeBSD's mount(8) prints it."""
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
PR_SET_PDEATHSIG = 1
# What a less privileged mount must keep of the mount below it (mount_namespaces(7), "locked").
KEPT_FLAGS = {os.ST_NOSUID: 2, os.ST_NODEV: 4, os.ST_NOEXEC: 8}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: str, target: Path, kind: str, flags: int, data: str = "") -> None:
    _check(
        _libc.mount(
            source.encode(),
            os.fsencode(target),
            kind.encode(),
            ctypes.c_ulong(flags),
            data.encode(),
        ),
        str(target),
    )


def bind(
    source: Path,
    target: Path,
    *,
    read_only: bool = False,
    deep: bool = False,
    limits: Iterable[str] = (),
) -> None:
    """Make `source` visible at `target`, as nullfs does."""
    mount(str(source), target, "", MS_BIND | (MS_REC if deep else 0))
    if read_only or limits:
        remount(target, read_only=read_only, limits=limits)


def remount(target: Path, *, read_only: bool, limits: Iterable[str] = ()) -> None:
    present = os.statvfs(target).f_flag
    kept = sum(flag for seen, flag in KEPT_FLAGS.items() if present & seen)
    wanted = sum((LIMITS[each] for each in limits), MS_RDONLY if read_only else 0)
    mount("", target, "", MS_REMOUNT | MS_BIND | kept | wanted)


def umount(target: Path, *, force: bool = False) -> None:
    flags = UMOUNT_NOFOLLOW | (MNT_DETACH if force else 0)
    _check(_libc.umount2(os.fsencode(target), flags), str(target))


def make_mounts_private() -> None:
    mount("", Path("/"), "", MS_REC | MS_PRIVATE)


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def die_with_parent() -> None:
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


AT_FDCWD, AT_SYMLINK_NOFOLLOW, STATX_BTIME = -100, 0x100, 0x800
STATX_BYTES, BTIME_AT = 256, 80


def birth(place: Path) -> float:
    """When a file was made, in seconds since the epoch; 0 where the file system does not know."""
    answer = ctypes.create_string_buffer(STATX_BYTES)
    path = os.fsencode(place)
    _check(_libc.statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, answer), str(place))
    (has,) = struct.unpack_from("I", answer.raw)
    seconds, nanoseconds = struct.unpack_from("qI", answer.raw, BTIME_AT)
    return float(seconds + nanoseconds / 1e9) if has & STATX_BTIME else 0.0
