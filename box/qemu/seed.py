"""The seed: a second disk from which an official image gets our ssh key and its host key.

It is a NoCloud seed (cloud-init's documentation, "NoCloud"; on FreeBSD nuageinit(7)): an ISO 9660
volume named cidata with the files user-data and meta-data. The user data is a shell script, which
both cloud-init and nuageinit run unchanged.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shlex import quote

import pycdlib

from box.requirements import CACHE

KNOWN_AS = "cellblock-box"
_SCRIPT = """#!/bin/sh
umask 077
mkdir -p /root/.ssh
printf '%s\\n' {public} >> /root/.ssh/authorized_keys
printf '%s\\n' {host_public} > /etc/ssh/ssh_host_ed25519_key.pub
printf '%s' {host_key} > /etc/ssh/ssh_host_ed25519_key
printf 'PermitRootLogin prohibit-password\\n' >> /etc/ssh/sshd_config
sysrc sshd_enable=YES
service sshd restart
"""


@dataclass(frozen=True)
class Sown:
    """The seed, root's key, and the host key that the guest will present."""

    disk: Path
    key: Path
    known_hosts: Path


def sown(where: Path = CACHE / "seed") -> Sown:
    """The seed of all boxes of this user. They share it, since saved snapshots contain its key."""
    where = where.expanduser()
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Sown(where / "seed.iso", where / "id_ed25519", where / "known_hosts")
    if made.disk.exists():
        return made
    public = _key(made.key)
    host_key = where / "ssh_host_ed25519_key"
    host_public = _key(host_key)
    made.known_hosts.write_text(f"{KNOWN_AS} {host_public}\n", encoding="utf-8")
    script = _SCRIPT.format(
        public=quote(public),
        host_public=quote(host_public),
        host_key=quote(host_key.read_text(encoding="utf-8")),
    )
    half = made.disk.with_suffix(".half")
    half.write_bytes(_iso({"user-data": script, "meta-data": "instance-id: cellblock-box\n"}))
    half.replace(made.disk)
    return made


def _key(path: Path) -> str:
    """Make a key. Returns its public half, without the comment."""
    path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path.with_name(f"{path.name}.pub").read_text(encoding="utf-8").strip()


def _iso(files: dict[str, str]) -> bytes:
    """A volume with these files under their names (Rock Ridge and Joliet)."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, vol_ident="cidata", rock_ridge="1.09", joliet=3)
    for name, text in files.items():
        data = text.encode()
        short = name.upper().replace("-", "_")
        iso.add_fp(BytesIO(data), len(data), f"/{short}.;1", rr_name=name, joliet_path=f"/{name}")
    out = BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
