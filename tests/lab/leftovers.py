"""What a laboratory left behind because it was killed: its namespace and its disks.

Its qemu is gone already (see machine.py); the rest is told by the process id in its name.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.booted import CACHE

NAMESPACES = Path("/run/netns")


def prefix() -> str:
    """How the names of all that this process makes begin."""
    return f"cellblock-lab-{os.getpid()}-"


def sweep() -> None:
    """Removes what belongs to laboratories whose process is no more, and nothing else."""
    for namespace in filter(_is_abandoned, NAMESPACES.glob("cellblock-lab-*")):
        subprocess.run(["ip", "netns", "del", namespace.name], check=False)
    for scratch in filter(_is_abandoned, Path(tempfile.gettempdir()).glob("cellblock-lab-*")):
        shutil.rmtree(scratch, ignore_errors=True)
    for half in filter(_is_abandoned, CACHE.expanduser().glob("booted-*.qcow2.cellblock-lab-*")):
        half.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    owner = re.search(r"cellblock-lab-(\d+)-\w+$", path.name)
    return owner is not None and not Path("/proc", owner[1]).exists()
