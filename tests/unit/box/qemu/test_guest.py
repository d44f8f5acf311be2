import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from box.qemu.accelerator import KVM
from box.qemu.guest import Guest
from box.qemu.image import Image
from box.qemu.machine import Machine
from box.remote import Answer, GuestError
from tests.lab.wire import Wire

SHELLS = [shell for shell in ("sh", "bash", "csh", "tcsh") if shutil.which(shell)]


class Nearby(Guest):
    """A guest whose ssh is a program on this machine."""

    def __init__(self, where: Path, does: str) -> None:
        image = Image(where / "disk", where / "key", where / "known_hosts")
        super().__init__(image, Wire())
        self._does = does

    def ssh_argv(self, command: str) -> list[str]:
        return ["sh", "-c", self._does, "ssh", command]


def test_every_connection_is_a_new_one_to_a_known_host(tmp_path: Path) -> None:
    line = " ".join(Guest.ssh_argv(Nearby(tmp_path, ""), "uname -s"))
    assert line.startswith("ip netns exec cellblock-box-")
    for option in ("ControlPath=none", "BatchMode=yes", "StrictHostKeyChecking=yes"):
        assert f"-o {option} " in line
    assert f'-o UserKnownHostsFile="{tmp_path}/known_hosts" ' in line
    assert line.endswith(" 203.0.113.2 uname -s")
    assert " -l root " in line
    assert f"-i {tmp_path}/key " in line


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "command",
    [
        "echo one; echo two >&2; exit 3",
        "echo 'it''s' \"$((1 + 1))\" '!' \\! `echo x`\n# a comment\nprintf 'no newline'",
        "cat; nosuchcommand",
        "printf 'cr\\r\\n'",
    ],
)
def test_sh_is_exact_whatever_the_login_shell(tmp_path: Path, shell: str, command: str) -> None:
    direct = subprocess.run(
        ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    guest = Nearby(tmp_path, f'exec {shell} -c "$1"')
    assert guest.sh(command) == Answer(
        direct.returncode, direct.stdout.decode(), direct.stderr.decode()
    )


def test_a_lost_connection_is_no_answer(tmp_path: Path) -> None:
    guest = Nearby(tmp_path, "echo 'ssh: connect to host x: No route to host' >&2; exit 255")
    with pytest.raises(GuestError, match=r"no connection to the guest\n.*No route to host"):
        guest.sh("true")


def test_a_command_may_exit_255(tmp_path: Path) -> None:
    assert Nearby(tmp_path, 'exec sh -c "$1"').sh("exit 255").exit == 255


def test_waiting_ends_with_the_machine(tmp_path: Path) -> None:
    guest = Nearby(tmp_path, "")
    guest._machine = Machine(tmp_path, guest.network, (), memory_mb=1, cpus=1)
    (tmp_path / "qemu.log").write_text("out of memory")
    with pytest.raises(GuestError, match=r"ended before the guest was booted\n +out of memory"):
        guest.wait_until(lambda: False, "booted", 10.0)


def test_a_guest_that_this_cpu_cannot_run_is_emulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nested KVM fails like this: the firmware runs, and the loader does not."""
    told = tmp_path / "told"
    guest = Nearby(tmp_path, f"cat >>{told}")
    (tmp_path / "disk").touch()
    guest.scratch = tmp_path
    guest._machine = Machine(tmp_path, Wire(), KVM, memory_mb=512, cpus=1)
    started: list[str] = []

    def start() -> None:
        started.append(guest._machine.hardware()[1])
        said = "KVM internal error. Suberror: 1\n" if started == ["kvm"] else ""
        (tmp_path / "qemu.log").write_text(said)

    monkeypatch.setattr(guest._machine, "start", start)
    monkeypatch.setattr(Machine, "runs", True)
    monkeypatch.setattr(guest._machine, "lay_disk", lambda *_: None)
    monkeypatch.setattr(guest, "save", lambda: None)
    monkeypatch.setattr(Machine, "held", nullcontext)
    monkeypatch.setattr("box.qemu.guest.snapshots.keep", lambda *_: None)
    monkeypatch.setattr("box.qemu.guest.answers", lambda *_: started[-1:] == ["tcg,thread=multi"])
    guest._boot_or_go_on(tmp_path / "disk", "")
    assert started == ["kvm", "tcg,thread=multi"]
    assert "kern.elf64.aslr" in told.read_text()
