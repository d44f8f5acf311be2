import subprocess
import sys
from pathlib import Path

import pytest

from box import leftovers


def test_only_what_the_dead_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(leftovers, "CACHE", tmp_path)
    dead = f"cellblock-box-{ended.pid}-1"
    alive = f"{leftovers.prefix()}1"
    others = ("cellblock-x", "cellblock-box-notes", "booted-1.qcow2")
    for name in (dead, alive, *others):
        (tmp_path / name).mkdir()
    (tmp_path / dead / "disk.qcow2").touch()
    for name in (dead, alive):
        (tmp_path / f"booted-1.qcow2.{name}").touch()
    leftovers.sweep()
    assert {path.name for path in tmp_path.iterdir()} == {alive, *others, f"booted-1.qcow2.{alive}"}
