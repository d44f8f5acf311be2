"""md(4) over files, and what is in their file systems, which outlasts a power cut.

A file's blocks are not the file system's: that is a directory of this machine, known by the inode
of the file. So it has no limit, and a copy of the file has no file system.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from standin.linux.rootdir import RootDir


class MemoryDisks:
    """Units and the files that they are over, as paths of the host."""

    def __init__(self, rootdir: RootDir, where: Path) -> None:
        self.units: dict[int, str] = {}
        self._rootdir = rootdir
        self._where = where

    def attach(self, path: str) -> int:
        """The new unit. Raises FileNotFoundError."""
        inner = self._rootdir.inner(path)
        self._rootdir.path(inner).stat()
        unit = next(number for number in range(len(self.units) + 1) if number not in self.units)
        self.units[unit] = inner
        return unit

    def over(self, path: str) -> list[int]:
        inner = self._rootdir.inner(path)
        return [unit for unit, file in sorted(self.units.items()) if file == inner]

    def unit(self, device: str) -> int | None:
        """Of a name as /dev/md0 or md0, if there is such a unit."""
        number = device.removeprefix("/dev/").removeprefix("md")
        unit = int(number) if number.isdecimal() else None
        return unit if unit in self.units else None

    def size(self, unit: int) -> int:
        """In bytes."""
        return self._rootdir.path(self.units[unit]).stat().st_size

    def files(self, unit: int) -> Path:
        """What is in its file system. Raises FileNotFoundError, as mount(8) does, without one."""
        place = self._place(unit)
        if not place.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"/dev/md{unit}")
        return place

    def format(self, unit: int) -> None:
        place = self._place(unit)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o755, parents=True)

    def _place(self, unit: int) -> Path:
        return self._where / f"md-{self._rootdir.path(self.units[unit]).stat().st_ino}"
