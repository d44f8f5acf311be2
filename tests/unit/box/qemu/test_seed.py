from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pycdlib
import pytest

from box.qemu import seed


@pytest.fixture
def sown(tmp_path: Path) -> seed.Sown:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen on this machine")
    return seed.sown(tmp_path / "seed")


def read(disk: Path, name: str) -> str:
    iso = pycdlib.PyCdlib()
    iso.open(str(disk))
    try:
        out = disk.with_name(f"{name}.read")
        iso.get_file_from_iso(str(out), joliet_path=f"/{name}")
        assert iso.pvd.volume_identifier.decode().strip() == "cidata"
        return out.read_text(encoding="utf-8")
    finally:
        iso.close()


def test_the_volume_is_what_cloud_init_and_nuageinit_look_for(sown: seed.Sown) -> None:
    assert read(sown.disk, "meta-data") == "instance-id: cellblock-box\n"
    assert read(sown.disk, "user-data").startswith("#!/bin/sh\n")


def test_the_script_lays_our_key_and_the_host_key_that_we_know(
    sown: seed.Sown, tmp_path: Path
) -> None:
    """Run here, with its /etc and /root in a temporary directory."""
    root = tmp_path / "root"
    (root / "etc/ssh").mkdir(parents=True)
    (root / "bin").mkdir()
    for name in ("sysrc", "service"):
        (root / "bin" / name).write_text("#!/bin/sh\n")
        (root / "bin" / name).chmod(0o755)
    script = read(sown.disk, "user-data")
    for place in ("/root/.ssh", "/etc/ssh"):
        script = script.replace(place, f"{root}{place}")
    path = f"{root}/bin:/usr/bin:/bin"
    subprocess.run(["sh", "-eu", "-c", script], check=True, env={"PATH": path})
    public = sown.key.with_name("id_ed25519.pub").read_text(encoding="utf-8")
    assert (root / "root/.ssh/authorized_keys").read_text() == public.strip() + "\n"
    key = root / "etc/ssh/ssh_host_ed25519_key"
    assert key.stat().st_mode & 0o777 == 0o600
    made = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(key)], capture_output=True, text=True, check=True
    )
    assert sown.known_hosts.read_text() == f"{seed.KNOWN_AS} {made.stdout.strip()}\n"


def test_the_same_seed_serves_the_next_box(sown: seed.Sown, tmp_path: Path) -> None:
    before = sown.disk.read_bytes()
    assert seed.sown(tmp_path / "seed") == sown
    assert sown.disk.read_bytes() == before
