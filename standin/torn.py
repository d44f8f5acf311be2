"""What UFS may lose with the power: the tail of a file since its last fsync.

Soft updates keep directories and sizes consistent, but what a file holds goes to the disk by and by
(kern.filedelay). Here seven eighths of it got there, which is neither what was nor what was to be.
A new directory is lost with all that is in it unless it, or the one that it is in, was fsynced, as
seen on a 13.2 a minute after its files were. A rename or an unlink, which FreeBSD may lose, too, is
never lost here.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from standin import linux
from standin.layout import HIDDEN

SYNCER_SECONDS = 120.0
CLOCK = 1e-5  # seconds: how exact a time of a file is, read as a float
LOG = "synced.log"
NOT_FILES = (HIDDEN, "bin", "dev", "proc")


def mark(place: Path) -> str:
    """The line that says what of a file, or of a directory, is on the disk from now on."""
    found = place.stat()
    # A copy may set back the time of a directory when all is in it.
    when = found.st_ctime_ns if stat.S_ISDIR(found.st_mode) else found.st_mtime_ns
    return f"{_inode(place, found)} {found.st_size} {when}"


def tear(where: Path, since: float) -> list[str]:
    """Cut what was not on the disk yet, of every file below `where`/root; their names.

    `since` in seconds since the epoch: what was written before is on the disk.
    """
    synced: dict[str, tuple[int, int]] = {}
    log = where / LOG
    for line in log.read_text().splitlines() if log.exists() else ():
        inode, there, when = line.split()
        synced[inode] = int(there), int(when)
    since = max(since, time.time() - SYNCER_SECONDS)
    torn = list(_lost(where / "root", since, synced))
    for place, found in _since(where / "root", since, stat.S_ISREG):
        # This machine's own commands are hard links.
        if found.st_nlink > 1 or found.st_size == 0:
            continue
        if max(found.st_mtime, linux.birth(place)) < since:
            continue
        size, mtime = synced.get(_inode(place, found), (0, 0))
        if (size, mtime) == (found.st_size, found.st_mtime_ns):
            continue
        # Written anew from its beginning, or appended to: what the fsync saw is still there.
        kept = size if size < found.st_size else 0
        os.truncate(place, kept + (found.st_size - kept) * 7 // 8)
        torn.append(str(place.relative_to(where / "root")))
    return torn


def _lost(root: Path, since: float, synced: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    for place, found in _since(root, since, stat.S_ISDIR):
        born = linux.birth(place)
        if born < since or _inode(place, found) in synced:
            continue
        _, parent = synced.get(_inode(place.parent, place.parent.lstat()), (0, 0))
        if parent / 1e9 < born - CLOCK:
            shutil.rmtree(place)
            yield str(place.relative_to(root))


def _inode(place: Path, found: os.stat_result) -> str:
    return f"{found.st_ino}.{linux.birth(place):.9f}"


def _since(
    root: Path, since: float, wanted: Callable[[int], bool]
) -> Iterator[tuple[Path, os.stat_result]]:
    """What was made or changed since, of the `wanted` mode; a directory before what is in it, which
    is not looked into when it was removed meanwhile.
    """
    skipped = {str(root / name) for name in NOT_FILES}
    folders = [str(root)]
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.path in skipped:
                    continue
                found = entry.stat(follow_symlinks=False)
                if found.st_ctime >= since and wanted(found.st_mode):
                    yield Path(entry.path), found
                if stat.S_ISDIR(found.st_mode):
                    folders.append(entry.path)
