"""The same commands on the stand-in and on a real FreeBSD, where an image is available."""

from __future__ import annotations

import base64
import io
import shlex
import tarfile
from pathlib import Path

import pytest

from box.qemu.guest import Guest
from standin import BaseHost, StandIn
from tests.contract import recording
from tests.contract.questions import CONVERSATIONS
from tests.contract.recording import Answer, Ask, comparable

# Commands whose output differs between the stand-in and a real FreeBSD, and why.
DIFFERS: dict[str, str] = {}


# Their output depends on the recorded host (its disk, users and daemons' scripts), not on FreeBSD;
# the available image may be another host.
OF_THAT_HOST = frozenset(
    {
        "cat /var/run/apache24/httpd.pid | wc -l",
        "mount -p",
        "pw usershow alice",
        "service -e | head -5",
        "service apache24 onestart",
        "service apache24 onestop",
        "service local_unbound onestatus",
        "service local_unbound start",
        "service local_unbound status",
        "service named onestart",
        "service named onestop",
        "service sendmail onestatus",
        "stat -f '%Su:%Sg %Lp %z' /etc/passwd",
        "ipfw -a list 1000",  # the columns are as wide as the counters of the rule at 65535
    }
)


def ask_standin(standin: StandIn) -> Ask:
    def ask(command: str) -> Answer:
        done = standin.run(command)
        return Answer(done.returncode, done.stdout, done.stderr)

    return ask


def ask_guest(guest: Guest) -> Ask:
    def ask(command: str) -> Answer:
        done = guest.sh(command)
        return Answer(done.exit, done.stdout, done.stderr)

    return ask


def compare(one: Ask, other: Ask, commands: tuple[str, ...]) -> dict[str, tuple[Answer, Answer]]:
    """The commands whose results differ."""
    answers = {
        command: (comparable(one(command)), comparable(other(command))) for command in commands
    }
    return {command: pair for command, pair in answers.items() if pair[0] != pair[1]}


@pytest.mark.guest
@pytest.mark.parametrize("topic", CONVERSATIONS)
def test_standin_and_freebsd_agree(fresh_guest: Guest, tmp_path: Path, topic: str) -> None:
    with StandIn.build(tmp_path / "s", BaseHost.recorded()) as standin:
        standin.boot()
        differences = compare(ask_standin(standin), ask_guest(fresh_guest), CONVERSATIONS[topic])
    known = {command for command in CONVERSATIONS[topic] if command in DIFFERS}
    unexpected = {command: pair for command, pair in differences.items() if command not in known}
    assert not unexpected
    assert known <= differences.keys(), "agrees now: take it out of DIFFERS"


def ask_all(guest: Guest, commands: list[str]) -> list[Answer]:
    """All commands over one connection, since each new one takes an emulated guest seconds."""
    script = "mkdir /root/asked && cd /root/asked\n"
    for number, command in enumerate(commands):
        quoted = shlex.quote(command)
        script += (
            f"sh -c {quoted} </dev/null >{number}.out 2>{number}.err; echo $? >{number}.exit\n"
        )
    assert guest.sh(script, timeout=900.0).exit == 0
    packed = guest.sh("cd /root/asked && tar cf - . | b64encode -r -")
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed.stdout))) as archive:
        texts = {
            entry.name.removeprefix("./"): file.read().decode()
            for entry in archive
            if (file := archive.extractfile(entry))
        }
    return [
        Answer(int(texts[f"{n}.exit"]), texts[f"{n}.out"], texts[f"{n}.err"])
        for n in range(len(commands))
    ]


@pytest.mark.guest
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_real_freebsd_still_answers_as_recorded(fresh_guest: Guest) -> None:
    recorded = recording.read()
    answers = ask_all(fresh_guest, [one.command for one in recorded])
    wrong = {
        one.command: answer
        for one, answer in zip(recorded, answers, strict=True)
        if comparable(answer) != comparable(one.answer)
        and one.command not in OF_THAT_HOST
        and not one.command.startswith("sockstat")
    }
    assert not wrong


@pytest.mark.parametrize("topic", CONVERSATIONS)
def test_the_standin_knows_every_command(tmp_path: Path, topic: str) -> None:
    with StandIn.build(tmp_path / "s", BaseHost.recorded()) as standin:
        standin.boot()
        for command in CONVERSATIONS[topic]:
            standin.run(command)
        # The command that tests an unknown word reports it by itself.
        assert [line for line in standin.strange if "frobnicate" not in line] == []
