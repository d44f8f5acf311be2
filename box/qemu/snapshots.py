"""Snapshots of booted guests: an image boots once, and later guests start from its snapshot.

Without KVM a boot takes minutes on a busy machine; loading a snapshot takes seconds.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from box.requirements import CACHE


def place(image: Path, machine: Sequence[str], network: str) -> Path:
    """The path of the disk with the snapshot of this image, booted on this machine.

    Its name depends on the image, on qemu and on its options, as the snapshot does.
    """
    about = image.stat()
    qemu = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
    ).stdout
    identity = repr((str(image), about.st_size, about.st_mtime_ns, qemu, *machine))
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return CACHE.expanduser() / f"booted-{network}-{name}.qcow2"


def keep(disk: Path, at: Path) -> None:
    """Save a copy of this disk, complete or not at all, and delete those of older images.

    Guests use only copies of a saved disk, so an old one can be deleted. One is kept for each kind
    of network.
    """
    at.parent.mkdir(parents=True, exist_ok=True)
    half = at.with_name(f"{at.name}.{disk.parent.name}")
    shutil.copyfile(disk, half)
    half.replace(at)
    for old in set(at.parent.glob(f"{at.name.rpartition('-')[0]}-*.qcow2")) - {at}:
        old.unlink(missing_ok=True)
