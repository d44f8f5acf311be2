"""Removes what a killed rehearsal left behind: the disks of its box.

Its qemu has ended already (see qemu/machine.py). The process id in a file's name is its owner's.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

from box.requirements import CACHE


def prefix() -> str:
    """The prefix of the names of all files that this process makes."""
    return f"cellblock-box-{os.getpid()}-"


def sweep() -> None:
    """Remove the files of boxes whose process has ended, and nothing else."""
    for scratch in filter(is_abandoned, Path(tempfile.gettempdir()).glob("cellblock-box-*")):
        shutil.rmtree(scratch, ignore_errors=True)
    for half in filter(is_abandoned, CACHE.expanduser().glob("booted-*.qcow2.cellblock-box-*")):
        half.unlink(missing_ok=True)


def is_abandoned(path: Path) -> bool:
    owner = re.search(r"cellblock-box-(\d+)-\w+$", path.name)
    return owner is not None and not _lives(int(owner[1]))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True
