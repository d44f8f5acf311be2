"""What the laboratory needs from this machine, and the one clear reason when it is not there."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ip": "iproute2",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
}


class Missing(Exception):
    """The laboratory cannot be set up here; the text says what is missing."""


@dataclass(frozen=True)
class Image:
    """A FreeBSD guest to boot: its disk, root's key, and the host key that it must show."""

    disk: Path
    key: Path
    known_hosts: Path


def find_image(environ: Mapping[str, str] = os.environ) -> Image:
    """The image that the environment names, else the one in ~/.cache/cellblock. Raises Missing."""
    disk = _named(
        environ, "CELLBLOCK_BOX_IMAGE", Path("~/.cache/cellblock/freebsd.qcow2"), "FreeBSD image"
    )
    beside = disk.parent
    return Image(
        disk=disk,
        key=_named(environ, "CELLBLOCK_BOX_KEY", beside / "id_ed25519", "ssh key of the guest"),
        known_hosts=_named(
            environ, "CELLBLOCK_BOX_KNOWN_HOSTS", beside / "known_hosts", "known_hosts of the guest"
        ),
    )


def require_rights_and_tools() -> None:
    """Raises Missing unless a namespace, a tap and a guest can be had here."""
    absent = [f"{tool} (Debian: {package})" for tool, package in TOOLS.items() if not _has(tool)]
    if absent:
        raise Missing(f"not installed: {', '.join(absent)}")
    if os.geteuid() != 0:
        raise Missing("a network namespace with a tap is wanted, and only root can make one here")
    if not Path("/dev/net/tun").exists():
        raise Missing("/dev/net/tun is not there, so the guest can have no wire")


def _has(tool: str) -> bool:
    return shutil.which(tool) is not None


def _named(environ: Mapping[str, str], variable: str, default: Path, what: str) -> Path:
    path = Path(environ.get(variable) or default).expanduser()
    if not path.is_file():
        raise Missing(f"no {what} at {path} (set {variable} to name another)")
    # absolute, not resolved: where the image is a link, its key lies beside the link
    return path.absolute()
