from pathlib import Path

import pytest

from box.qemu import accelerator
from rollout.errors import Refused


def qemu_that(does: str, where: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A one-line qemu in the PATH, and a device node that opens."""
    program = where / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{where}:/usr/bin:/bin")
    device = where / "kvm"
    device.touch()
    return device


def test_no_device_no_kvm(tmp_path: Path) -> None:
    assert not accelerator.kvm_works(tmp_path / "kvm")


def test_firmware_that_ends_proves_kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert accelerator.kvm_works(qemu_that("exit 0", tmp_path, monkeypatch))


def test_qemu_that_aborts_disproves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not accelerator.kvm_works(qemu_that("kill -ABRT $$", tmp_path, monkeypatch))


def test_so_does_firmware_that_crawls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "FIRMWARE_LIMIT", 0.1)
    assert not accelerator.kvm_works(qemu_that("exec sleep 5", tmp_path, monkeypatch))


def test_the_environment_decides_before_any_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLBLOCK_BOX_ACCEL", "tcg")
    monkeypatch.setattr(accelerator, "kvm_works", lambda: True)
    assert accelerator.choose() == accelerator.TCG


def test_an_accelerator_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLBLOCK_BOX_ACCEL", "xen")
    with pytest.raises(Refused, match="is xen; expected kvm, hvf or tcg"):
        accelerator.choose()


def test_a_mac_of_the_guests_kind_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu_that("exit 0", tmp_path, monkeypatch)
    assert accelerator.hvf_works("darwin", "x86_64")
    assert not accelerator.hvf_works("darwin", "arm64")
    assert not accelerator.hvf_works("linux", "x86_64")
