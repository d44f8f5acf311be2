"""What a box left behind because its owner was killed: its disks.

Its qemu is gone already (see qemu/machine.py); the rest is told by the process id in its name.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

from box.requirements import CACHE


def prefix() -> str:
    """How the names of all that this process makes begin."""
    return f"cellblock-box-{os.getpid()}-"


def sweep() -> None:
    """Removes what belongs to boxes whose process is no more, and nothing else."""
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
        pass  # somebody else's
    return True
