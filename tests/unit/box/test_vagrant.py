"""A box under Vagrant, with a fake vagrant that only records its command lines."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from box import leftovers, vagrant
from box.vagrant import Vagrant, vagrant_box
from rollout import site
from rollout.errors import Refused

PROJECT = Path(__file__).parents[3]
SAMPLE = site.read(PROJECT / "site.example.toml")
VAGRANTFILE = (PROJECT / "Vagrantfile").read_text(encoding="utf-8")

FAKE = r"""#!/bin/sh
echo "$1" >> "$NOTES/asked"
env | grep VAGRANT | sort > "$NOTES/environment"
machine=$VAGRANT_DOTFILE_PATH/machines/default/libvirt
case $1 in
up)
    mkdir -p "$machine"
    case $UP in
    fails)
        printf "vm.rb:7:in 'up': no provider here (RuntimeError)\n\tfrom /vagrant/vm.rb:1\n" >&2
        exit 1 ;;
    boots)
        trap 'echo interrupted >> "$NOTES/asked"; : > "$machine/id"; exit 1' INT
        while :; do sleep 0.1; done ;;
    esac ;;
destroy)
    if [ "$DESTROY" = fails ]; then exit 1; fi
    sleep 1
    rm -f "$machine/id"
    echo destroyed >> "$NOTES/asked" ;;
ssh-config) printf 'Host default\n  HostName 192.0.2.7\n  User root\n%s' "$KEY" ;;
esac
"""


class Fake:
    """The fake vagrant, and its command lines."""

    def __init__(self, where: Path, scratch: Path) -> None:
        self.where = where
        self.scratch = scratch

    @property
    def asked(self) -> list[str]:
        notes = self.where / "asked"
        return notes.read_text().splitlines() if notes.exists() else []

    @property
    def environment(self) -> str:
        return (self.where / "environment").read_text()

    def abandoned(self) -> Path:
        """What a killed rehearsal leaves."""
        dead = subprocess.Popen(["true"])
        dead.wait()
        scratch = self.scratch / f"vagrant-cellblock-box-{dead.pid}-abc"
        machine = scratch / "vagrant" / "machines" / "default" / "libvirt"
        machine.mkdir(parents=True)
        (machine / "id").touch()
        return scratch


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    program = tmp_path / "vagrant"
    program.write_text(FAKE)
    program.chmod(0o755)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(tmp_path))
    monkeypatch.setenv("UP", "")
    monkeypatch.setenv("DESTROY", "")
    monkeypatch.setenv("KEY", '  IdentityFile "/a place/key"\n')
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield Fake(tmp_path, scratch)


def opened(said: Callable[[str], None] = lambda text: None) -> None:
    with vagrant_box(SAMPLE, said):
        pass


def test_one_that_fails_is_quoted_and_destroyed(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UP", "fails")
    with pytest.raises(Refused, match="vagrant up failed") as caught:
        opened()
    assert caught.value.evidence.endswith("no provider here (RuntimeError)")
    assert fake.asked == ["up", "destroy", "destroyed"]
    assert "CELLBLOCK_VAGRANT_ADDRESS=203.0.113.2\n" in fake.environment
    assert "CELLBLOCK_VAGRANT_INTERFACE=vtnet0\n" in fake.environment
    assert f"VAGRANT_CWD={PROJECT}\n" in fake.environment
    assert f"VAGRANT_DOTFILE_PATH={fake.scratch}/vagrant-cellblock-box-" in fake.environment
    assert not list(fake.scratch.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_rehearsal_that_is_ended_lets_vagrant_note_what_it_made_and_destroys_it(
    fake: Fake, number: signal.Signals
) -> None:
    words = ["rehearse", "--on", "vagrant", "--site", "site.example.toml"]
    running = subprocess.Popen(
        [sys.executable, "deploy.py", *words],
        cwd=PROJECT,
        env={
            **os.environ,
            "UP": "boots",
            "TMPDIR": str(fake.scratch),
            "XDG_STATE_HOME": str(fake.where),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As at a terminal: processes in the background of a shell ignore ^C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 # one thread
    )
    try:
        wait_for(lambda: "up" in fake.asked)
        time.sleep(0.3)  # until its trap is set
        running.send_signal(number)
        wait_for(lambda: "destroy" in fake.asked)
        running.send_signal(number)  # a user presses ^C
        _, err = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 130, err
    assert "the vagrant box was deleted; no server of yours was touched" in err
    assert fake.asked == ["up", "interrupted", "destroy", "destroyed"]
    assert not list(fake.scratch.iterdir())


def wait_for(question: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120.0
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_that_does_not_end_when_interrupted_is_killed(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vagrant, "END_LIMIT", 0.5)
    deaf = subprocess.Popen(["sh", "-c", "trap '' INT; sleep 60"], start_new_session=True)
    time.sleep(0.3)
    vagrant._interrupt(deaf)
    assert deaf.returncode == -signal.SIGKILL


def test_what_a_killed_rehearsal_left_is_destroyed_by_the_next(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = fake.abandoned()
    leftovers.sweep()  # as a box under qemu does
    assert left.exists(), "with its scratch gone vagrant could not destroy it"
    monkeypatch.setenv("UP", "fails")
    with pytest.raises(Refused):
        opened()
    assert fake.asked[:3] == ["destroy", "destroyed", "up"]
    assert not list(fake.scratch.iterdir())


def test_a_machine_that_vagrant_cannot_destroy_is_told_of_and_stays_for_another_try(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = fake.abandoned()
    monkeypatch.setenv("UP", "fails")
    monkeypatch.setenv("DESTROY", "fails")
    said: list[str] = []
    with pytest.raises(Refused, match="vagrant up failed"):
        opened(said.append)
    assert said[0].startswith("its machine still exists")
    assert list(fake.scratch.iterdir()) == [left]


def test_its_key(fake: Fake) -> None:
    assert Vagrant(fake.scratch, SAMPLE).key() == Path("/a place/key")


def test_a_machine_without_a_key_is_refused(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "")
    with pytest.raises(Refused, match="names no ssh key"):
        Vagrant(fake.scratch, SAMPLE).key()


def test_the_vagrantfile_takes_what_it_is_given() -> None:
    for name in ("ADDRESS", "INTERFACE", "BOX", "DRIVER"):
        assert f'ENV.fetch("CELLBLOCK_VAGRANT_{name}"' in VAGRANTFILE
    if shutil.which("ruby") is None:
        pytest.skip("no ruby on this machine to read it")
    done = subprocess.run(["ruby", "-c", str(PROJECT / "Vagrantfile")], check=False)
    assert done.returncode == 0


COMMANDS = {
    "ifconfig": """case $1 in
-l) echo vtnet0 vtnet1 lo0 ;;
vtnet1) printf '\\tinet 203.0.113.2 netmask 0xffffff00\\n' ;;
*) printf '\\tinet 192.0.2.7 netmask 0xffffff00\\n' ;;
esac""",
    "route": "printf '  gateway: 192.0.2.1\\n  interface: vtnet0\\n'",
    "sysrc": 'for each; do echo "$each"; done >> "$NOTES/rc.conf"',
}


@pytest.mark.parametrize("user", ["vagrant", "root"])
def test_its_setup_names_the_interfaces_and_lets_root_in(fake: Fake, user: str) -> None:
    home = fake.where / "vagrant-home"
    if user == "vagrant":
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "authorized_keys").write_text("ssh-ed25519 ours\n")
    for name, text in COMMANDS.items():
        (fake.where / name).write_text(f"#!/bin/sh\n{text}\n")
        (fake.where / name).chmod(0o755)
    found = re.search(r"(?ms)^SETUP = <<~SH\n(.*?)^SH$", VAGRANTFILE)
    assert found
    setup = found[1].replace("\\\\", "\\")
    for word, value in {
        "#{address}": "203.0.113.2",
        "#{interface}": "vtnet0",
        "~vagrant": str(home),
        "/root/": f"{fake.where}/root/",
        "/etc/ssh/": f"{fake.where}/",
    }.items():
        setup = setup.replace(word, value)
    subprocess.run(["sh", "-c", setup], check=True)
    assert (fake.where / "rc.conf").read_text().split("\n") == [
        *("-x", "ifconfig_vtnet1"),
        *("ifconfig_vtnet0_name=mgmt0", "ifconfig_mgmt0=SYNCDHCP"),
        "ifconfig_vtnet1_name=vtnet0",
        "ifconfig_vtnet0=inet 203.0.113.2/24",
        "",
    ]
    keys = fake.where / "root" / ".ssh" / "authorized_keys"
    assert keys.exists() == (user == "vagrant")
    assert (fake.where / "sshd_config").exists() == (user == "vagrant")
