"""An image is booted once: what had booted is kept, and later guests go on from there.

Emulated on a busy machine a boot takes minutes, loading a snapshot seconds.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from box.requirements import CACHE


def place(image: Path, machine: Sequence[str], network: str) -> Path:
    """Where the disk with the snapshot of that image, booted on that machine, is kept.

    The name changes with all that a snapshot depends on: the image, qemu and its options.
    """
    about = image.stat()
    qemu = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
    ).stdout
    identity = repr((str(image), about.st_size, about.st_mtime_ns, qemu, *machine))
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return CACHE.expanduser() / f"booted-{network}-{name}.qcow2"


def keep(disk: Path, at: Path) -> None:
    """Keeps a copy of that disk, whole or not at all, in place of those of older images.

    Nobody works on a kept disk itself, only on copies; so an old one is never missed. One is kept
    for each kind of network.
    """
    at.parent.mkdir(parents=True, exist_ok=True)
    half = at.with_name(f"{at.name}.{disk.parent.name}")
    shutil.copyfile(disk, half)
    half.replace(at)
    for old in set(at.parent.glob(f"{at.name.rpartition('-')[0]}-*.qcow2")) - {at}:
        old.unlink(missing_ok=True)
