"""Finds the FreeBSD image to boot, or says clearly why there is none."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from box.requirements import CACHE, Missing
from rollout.errors import Refused

DEFAULT = CACHE / "freebsd.qcow2"
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
_DAMAGED = 2  # the exit code of qemu-img check (qemu-img(1))


@dataclass(frozen=True)
class Image:
    """A FreeBSD image to boot: its disk, root's ssh key, and the host key that it must present.

    Without the keys it gets both from a seed at its first boot, as the official BASIC-CLOUDINIT
    images do.
    """

    disk: Path
    key: Path | None = None
    known_hosts: Path | None = None
    format: str = "qcow2"

    @property
    def wants_seed(self) -> bool:
        return self.key is None


def find_image(environ: Mapping[str, str] = os.environ, named: Path | None = None) -> Image:
    """The image that is named, or that the environment names, or the one in ~/.cache/cellblock.

    Raises Missing if there is none, or if it has only one of key and known_hosts.
    """
    disk = _file(named or environ.get("CELLBLOCK_BOX_IMAGE") or DEFAULT, "FreeBSD image")
    key = environ.get("CELLBLOCK_BOX_KEY")
    known_hosts = environ.get("CELLBLOCK_BOX_KNOWN_HOSTS")
    beside = (disk.parent / "id_ed25519", disk.parent / "known_hosts")
    if not (key or known_hosts) and not any(path.exists() for path in beside):
        return Image(disk)
    return Image(
        disk=disk,
        key=_file(key or beside[0], "ssh key of the guest", "CELLBLOCK_BOX_KEY"),
        known_hosts=_file(
            known_hosts or beside[1], "known_hosts of the guest", "CELLBLOCK_BOX_KNOWN_HOSTS"
        ),
    )


def format_of(disk: Path) -> str:
    """The format of an image: qcow2, raw, ... Raises Refused if it is damaged or incomplete.

    qcow2 images are checked completely: one whose download ended early can be opened, but its guest
    would fail later.
    """
    about = _qemu_img("info", disk)
    if about.returncode:
        raise _refused(disk, about.stderr)
    found = str(json.loads(about.stdout)["format"])
    if found == "qcow2":
        checked = _qemu_img("check", disk)
        short = _ends_too_early(checked.stdout, disk)
        if checked.returncode in (1, _DAMAGED) or short:
            raise _refused(disk, checked.stderr or short)
    return found


def _ends_too_early(checked: str, disk: Path) -> str:
    """Compare the size, since qemu-img reads zeros beyond the end of the file.

    A disk over another that nobody has written to yet ends within its tables.
    """
    try:
        told = json.loads(checked)
    except json.JSONDecodeError:
        return ""
    wanted = int(told.get("image-end-offset", 0)) if told.get("allocated-clusters") else 0
    there = disk.stat().st_size
    return f"it has {there} bytes of {wanted}" if there < wanted else ""


def _qemu_img(word: str, disk: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["qemu-img", word, "--output=json", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )


def _refused(disk: Path, reason: str) -> Refused:
    return Refused(
        f"{disk}: the image is damaged or cut short",
        evidence=reason[:1000],
        todo="copy or download it again",
    )


def _file(place: str | Path, what: str, variable: str = "CELLBLOCK_BOX_IMAGE") -> Path:
    path = Path(place).expanduser()
    if not path.is_file():
        raise Missing(
            f"no {what} at {path}",
            todo=f"name another with {variable} (see Cellblock's docs/box.md)",
        )
    # absolute, not resolved: if the image is a link, its key is beside the link
    return path.absolute()
