from pathlib import Path

import pytest

from box.qemu.accelerator import KVM, TCG
from box.qemu.machine import Machine
from box.qemu.qmp import MonitorError
from tests.lab.wire import Wire


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, Wire(), TCG, memory_mb=512, cpus=2)


def test_the_machine_is_what_it_was_told_to_be(machine: Machine, tmp_path: Path) -> None:
    line = " ".join(machine.hardware())
    assert line.startswith("-accel tcg,thread=multi -cpu max,-erms,-fsrm -m 512 -smp 1 ")
    assert f"-serial file:{tmp_path}/console " in line
    assert f"-qmp unix:{tmp_path}/monitor,server=on,wait=off" in line


def test_only_a_machine_that_is_not_emulated_has_more_than_one_processor(tmp_path: Path) -> None:
    both = Machine(tmp_path, Wire(), KVM, memory_mb=512, cpus=2)
    assert "-smp 2" in " ".join(both.hardware())
    both.emulate()
    assert "-smp 1" in " ".join(both.hardware())


def test_a_write_that_is_done_survives_a_power_cut(machine: Machine) -> None:
    assert "virtio-blk-pci,drive=disk,write-cache=off" in machine.hardware()


def test_a_machine_that_is_off_has_no_monitor(machine: Machine) -> None:
    assert not machine.runs
    with pytest.raises(MonitorError, match="the machine is off"):
        _ = machine.monitor


def test_pulling_the_plug_twice_does_no_harm(machine: Machine) -> None:
    machine.cut_power()
    machine.cut_power()


def test_qemu_that_ends_at_once_is_quoted(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "setpriv").write_text("#!/bin/sh\necho 'no room for a guest' >&2; exit 1\n")
    (bin_ / "setpriv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
    with pytest.raises(MonitorError, match=r"qemu did not start\n +no room for a guest"):
        machine.start()
    assert not machine.runs
