"""Where a tree lies in memory: what a step writes is synced, which takes a disk long."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_SHARED = Path("/dev/shm")  # noqa: S108 - the trees in it have names of mkdtemp
_LEAST = 2 << 30
"""Bytes. A tree takes some 20 million of them, and a container's own /dev/shm has 64 million."""


def memory() -> Path | None:
    """A directory in memory with room for many trees; None if this machine has none.

    Programs of a tree are run, so not one that is mounted noexec.
    """
    try:
        if os.statvfs(_SHARED).f_flag & os.ST_NOEXEC or not os.access(_SHARED, os.W_OK):
            return None
        return _SHARED if shutil.disk_usage(_SHARED).free >= _LEAST else None
    except FileNotFoundError:
        return None
