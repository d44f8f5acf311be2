"""What UFS may lose with the power: the tail of a file since its last fsync.

Soft updates keep directories and sizes consistent, but the contents of a file go to the disk later
(kern.filedelay). Here seven eighths of them got there: neither the old contents nor the new ones.
A new directory is lost with everything in it unless it or its parent was fsynced; a real 13.2 did
so a minute after the files in it were synced. A rename or an unlink, which FreeBSD may lose, too,
is never lost here.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from standin.linux import syscalls
from standin.linux.layout import HIDDEN

SYNCER_SECONDS = 120.0
CLOCK = 1e-5  # seconds: the precision of a file's time, read as a float
LOG = "synced.log"
NOT_FILES = (HIDDEN, "bin", "dev", "proc")

Synced = Mapping[str, tuple[int, int]]
"""Size and time, in nanoseconds, of each inode at its last fsync."""


def mark(place: Path) -> str:
    """The line that records which part of a file, or of a directory, is on the disk from now on."""
    found = place.stat()
    # A copy may set back the time of a directory when all its files are in it.
    when = found.st_ctime_ns if stat.S_ISDIR(found.st_mode) else found.st_mtime_ns
    return f"{_inode(place, found)} {found.st_size} {when}"


def tear(where: Path, since: float) -> list[str]:
    """Cut what was not on the disk yet off every file below `where`/root; returns their names.

    `since` in seconds since the epoch: what was written earlier is on the disk.
    """
    synced: dict[str, tuple[int, int]] = {}
    log = where / LOG
    for line in log.read_text().splitlines() if log.exists() else ():
        inode, there, when = line.split()
        synced[inode] = int(there), int(when)
    since = max(since, time.time() - SYNCER_SECONDS)
    root = where / "root"
    torn = []
    for place, found in _since(root, since):
        if stat.S_ISDIR(found.st_mode):
            if not _is_lost(place, found, since, synced):
                continue
            shutil.rmtree(place)
        else:
            kept = _kept(place, found, since, synced)
            if kept == found.st_size:
                continue
            os.truncate(place, kept)
        torn.append(str(place.relative_to(root)))
    return torn


def _is_lost(place: Path, found: os.stat_result, since: float, synced: Synced) -> bool:
    """Whether a directory is lost: neither it nor its parent is on the disk since it was made."""
    born = syscalls.birth(place)
    if born < since or _inode(place, found) in synced:
        return False
    _, parent = synced.get(_inode(place.parent, place.parent.lstat()), (0, 0))
    return parent / 1e9 < born - CLOCK


def _kept(place: Path, found: os.stat_result, since: float, synced: Synced) -> int:
    """How many bytes of a file are on the disk."""
    if max(found.st_mtime, syscalls.birth(place)) < since:
        return found.st_size
    size, mtime = synced.get(_inode(place, found), (0, 0))
    if (size, mtime) == (found.st_size, found.st_mtime_ns):
        return size
    # Rewritten from its beginning, or appended to: what the fsync wrote is still there.
    there = size if size < found.st_size else 0
    return there + (found.st_size - there) * 7 // 8


def _inode(place: Path, found: os.stat_result) -> str:
    return f"{found.st_ino}.{syscalls.birth(place):.9f}"


def _since(root: Path, since: float) -> Iterator[tuple[Path, os.stat_result]]:
    """Directories and files that were made or changed since. A directory comes before its contents,
    which are skipped when the caller removes the directory first.
    """
    skipped = {str(root / name) for name in NOT_FILES}
    folders = [str(root)]
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.path in skipped:
                    continue
                found = entry.stat(follow_symlinks=False)
                is_folder = stat.S_ISDIR(found.st_mode)
                # This machine's own commands are hard links.
                is_own = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
                if found.st_ctime >= since and (is_folder or is_own):
                    yield Path(entry.path), found
                if is_folder:
                    folders.append(entry.path)
