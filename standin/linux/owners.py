"""Owners of files: kept by the kernel, or in a file of the stand-in where only one user exists.

In a user namespace without newuidmap(1) there is one uid, and chown(2) fails. Then stat, chown,
install and the daemons' own checks use this file; ls, find -user and cp -p do not know it.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from standin.linux.layout import HIDDEN

UNMAPPED = (errno.EINVAL, errno.EPERM)


def change(tree: Path, place: Path, uid: int, gid: int) -> None:
    """Change the owners of a file; -1 leaves one as it is, as in chown(2)."""
    known = noted(tree)
    ours = _key(place) in known
    try:
        os.lchown(place, uid, gid)
    except OSError as error:
        if error.errno not in UNMAPPED:
            raise
        ours = True
    if ours:
        before = known.get(_key(place), [0, 0])
        pairs = zip((uid, gid), before, strict=True)
        known[_key(place)] = [new if new >= 0 else old for new, old in pairs]
        Path(_store(tree)).write_text(json.dumps(known))


def of(tree: Path, place: Path) -> tuple[int, int]:
    return owners_of(noted(tree), os.lstat(place))


def owners_of(known: dict[str, list[int]], found: os.stat_result) -> tuple[int, int]:
    """The same for a file whose status is known already; `known` comes from `noted`."""
    pair = known.get(f"{found.st_dev}:{found.st_ino}") if known else None
    return (pair[0], pair[1]) if pair else (found.st_uid, found.st_gid)


def noted(tree: Path) -> dict[str, list[int]]:
    """Device and inode of a file -> its owners, for files whose owner the kernel cannot keep."""
    try:
        found: dict[str, list[int]] = json.loads(Path(_store(tree)).read_text())
    except FileNotFoundError:
        return {}
    return found


def has_one_user() -> bool:
    """Whether only one uid exists in this process's namespace."""
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return sum(int(line.split()[2]) for line in lines) == 1


def _store(tree: Path) -> str:
    return f"{tree}/{HIDDEN}/owners.json"


def _key(place: Path) -> str:
    found = place.lstat()
    return f"{found.st_dev}:{found.st_ino}"
