from pathlib import Path

import pytest

from box.qemu import snapshots


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    qemu_of(tmp_path, "7.2")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(snapshots, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def qemu_of(where: Path, version: str) -> None:
    qemu = where / "bin" / "qemu-system-x86_64"
    qemu.write_text(f"#!/bin/sh\necho QEMU {version}\n")
    qemu.chmod(0o755)


def test_a_snapshot_fits_one_image_one_qemu_and_one_machine(tmp_path: Path, cache: Path) -> None:
    image = tmp_path / "image"
    image.write_text("a")
    first = snapshots.place(image, ["-m", "1024"], "wire")
    assert first.parent == cache
    assert snapshots.place(image, ["-m", "1024"], "forwarded") != first
    assert snapshots.place(image, ["-m", "1024"], "wire") == first
    assert snapshots.place(image, ["-m", "2048"], "wire") != first
    qemu_of(tmp_path, "8.0")
    assert snapshots.place(image, ["-m", "1024"], "wire") != first
    qemu_of(tmp_path, "7.2")
    image.write_text("another")
    assert snapshots.place(image, ["-m", "1024"], "wire") != first


def test_the_newest_is_kept_whole_and_alone(tmp_path: Path, cache: Path) -> None:
    disk = tmp_path / "disk.qcow2"
    cache.mkdir()
    (cache / "booted-forwarded-old.qcow2").touch()
    for text in ("old", "new"):
        disk.write_text(text)
        snapshots.keep(disk, cache / f"booted-wire-{text}.qcow2")
    kept = sorted(path.name for path in cache.iterdir())
    assert kept == ["booted-forwarded-old.qcow2", "booted-wire-new.qcow2"]
    assert (cache / "booted-wire-new.qcow2").read_text() == "new"
