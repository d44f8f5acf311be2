"""Owners of files: the kernel's, or a file of ours where only one user may be had.

In a user namespace without newuidmap(1) there is one uid, and chown(2) fails. Then stat, chown,
install and the daemons' own checks go by this file; ls, find -user and cp -p do not know it.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from standin.layout import HIDDEN

UNMAPPED = (errno.EINVAL, errno.EPERM)


def change(tree: Path, place: Path, uid: int, gid: int) -> None:
    """-1 leaves one as it is, as chown(2) has it."""
    known = _read(tree)
    noted = _key(place) in known
    try:
        os.lchown(place, uid, gid)
    except OSError as error:
        if error.errno not in UNMAPPED:
            raise
        noted = True
    if noted:
        before = known.get(_key(place), [0, 0])
        pairs = zip((uid, gid), before, strict=True)
        known[_key(place)] = [new if new >= 0 else old for new, old in pairs]
        Path(_store(tree)).write_text(json.dumps(known))


def of(tree: Path, place: Path) -> tuple[int, int]:
    found = os.lstat(place)
    noted = _read(tree).get(f"{found.st_dev}:{found.st_ino}")
    return (noted[0], noted[1]) if noted else (found.st_uid, found.st_gid)


def has_one_user() -> bool:
    """Whether this process lives where only one uid exists."""
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return sum(int(line.split()[2]) for line in lines) == 1


def _store(tree: Path) -> str:
    return f"{tree}/{HIDDEN}/owners.json"


def _read(tree: Path) -> dict[str, list[int]]:
    try:
        with open(_store(tree)) as store:  # noqa: PTH123 - asked for every file of a fingerprint
            found: dict[str, list[int]] = json.load(store)
    except FileNotFoundError:
        return {}
    return found


def _key(place: Path) -> str:
    found = place.lstat()
    return f"{found.st_dev}:{found.st_ino}"
