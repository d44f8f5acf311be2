"""A disk that is full, or fills during a step: what cannot be recorded is not done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyinfra.api import operation

from operations.command import Commands
from rollout.errors import Refused, RolledBack
from rollout.plan.step import use
from tests.unit.rollout import small_host as small_host_module
from tests.unit.rollout.lab import Lab
from tests.unit.rollout.small_host import STUBS, SmallHost, small_host

ROOM = "steps/001-one/room"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHost]:
    yield from small_host(tmp_path / "h", "dash", monkeypatch)


def full(host: SmallHost, command: str, when: str) -> None:
    """That command fails from now on, as on a full disk, where `when` holds."""
    real = STUBS.get(command, f'exec /bin/{command} "$@"')
    (host.bin / command).write_text(f"#!/bin/sh\nif {when}; then exit 1; fi\n{real}\n")
    (host.bin / command).chmod(0o755)


def test_a_step_that_has_no_room_for_its_undo_is_not_begun(lab: Lab) -> None:
    full(lab.host, "dd", ":")
    with pytest.raises(Refused, match="the disk is full"):
        lab.runner(lab.step("one", lab.makes("a"))).apply()
    assert lab.acts == []
    assert lab.host.state("001-one") == "undone"


def test_a_command_that_the_journal_cannot_note_is_not_run(lab: Lab) -> None:
    full(lab.host, "fsync", 'grep -qs "^begun 002" "$1"')
    with pytest.raises(RolledBack, match="the journal cannot be written"):
        lab.runner(lab.step("one", lab.makes("a"), lab.makes("b"))).apply()
    assert lab.acts == ["do-a", "undo-b", "undo-a"]
    assert lab.host.state("001-one") == "undone"


@pytest.mark.parametrize("name", ["deadline", "print.applied.new"])
def test_a_step_is_not_called_applied_without_its_deadline(lab: Lab, name: str) -> None:
    """Nothing would undo it: the guard waits for a deadline that it cannot read."""
    full(lab.host, "fsync", f'[ "${{1##*/}}" = {name} ]')
    with pytest.raises(RolledBack, match="the journal cannot be written"):
        lab.runner(lab.step("one", lab.makes("a"))).apply()
    assert lab.acts == ["do-a", "undo-a"]
    assert lab.host.state("001-one") == "undone"


@operation()
def needless() -> Commands:
    """All is as wanted already."""
    yield from ()


def test_a_step_with_nothing_left_to_do_has_written_all_that_it_must(lab: Lab) -> None:
    with lab.runner(lab.step("one", use(needless))) as runner:
        runner.apply()
    assert lab.host.state("001-one") == "confirmed"


def test_the_undo_has_room_of_its_own(lab: Lab) -> None:
    """4 MiB: a fingerprint of a server with 800 accounts has one, and the undo writes three."""
    room = lab.host.journal / ROOM
    there = lab.makes("a", then=f"stat -f %N {room}; test $(wc -c <{room}) = 4194304")
    given_up = lab.makes("b", then="false", undo=f"rm -f {lab.path('b')}; test ! -e {room}")
    with pytest.raises(RolledBack, match="command 2 of 2 failed"):
        lab.runner(lab.step("one", there, given_up)).apply()
    assert lab.host.state("001-one") == "undone"


def test_what_is_confirmed_keeps_no_room_of_its_own(lab: Lab) -> None:
    with lab.runner(lab.step("one", lab.makes("a"))) as runner:
        runner.apply()
    assert lab.host.state("001-one") == "confirmed"
    assert not (lab.host.journal / ROOM).exists()
    assert (lab.host.journal / "spare").stat().st_size == 32 * 2**20


FULL = """case "$*" in *of=probe*) [ ! -e @/journal/spare ] || exit 1;; esac; exec /bin/dd "$@\""""
"""Nothing can be written until what the journal keeps is freed."""
SAYS = {
    "df": "echo Filesystem 1024-blocks Used Avail Capacity Mounted; "
    "if [ -e @/journal/spare ]; then a=0; else a=32768; fi; echo /dev/ada0 9 9 $a 100% /",
    "du": "case $2 in */bind) echo 393216 $2;; *) exit 1;; esac",
    "timeout": 'shift; exec "$@"',
}


@pytest.fixture
def jailed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Its jails are below the test's directory."""
    jails = lab.root / "usr/jails"
    (jails / "bind").mkdir()
    base = small_host_module.SAMPLE.base.model_copy(update={"jails": str(jails)})
    made = small_host_module.SAMPLE.model_copy(update={"base": base})
    monkeypatch.setattr(small_host_module, "SAMPLE", made)
    return lab


def fill(host: SmallHost) -> None:
    """A jail has written until there was no room."""
    for name, body in {**SAYS, "dd": FULL}.items():
        (host.bin / name).write_text(f"#!/bin/sh\n{body.replace('@/', f'{host.where}/')}\n")
        (host.bin / name).chmod(0o755)


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_was_kept_is_freed_for_the_undo(lab: Lab, by_hand: bool) -> None:
    """A rollback was refused, or ended stuck, once a jail had filled the disk."""
    spare = lab.host.journal / "spare"
    with lab.runner(
        lab.step("one", lab.makes("a", undo=f"rm {lab.path('a')} && test ! -e {spare}"))
    ) as runner:
        runner.apply()
        fill(lab.host)
        if by_hand:
            lab.host.ask("undo")
        else:
            runner.rollback()
    assert lab.host.state("001-one") == "undone"


def test_a_full_disk_is_told_in_words(jailed: Lab) -> None:
    lab = jailed
    with lab.runner(lab.step("one", lab.makes("a", undo="false"))) as runner:
        runner.apply()
    fill(lab.host)
    (lab.host.bin / "df").write_text("#!/bin/sh\necho /dev/ada0 9 9 0 100% /\n")
    lab.host.ask("undo")
    assert lab.host.read("001-one", "stuck") == (
        "the undo of 001 failed; / (/dev/ada0) is full; "
        f"jail bind: 384 MiB in {lab.host.root}/usr/jails/bind; to make room, stop the jail "
        "(service jail onestop NAME) and remove what fills it\n"
    )


def test_a_journal_that_cannot_be_written_says_what_fills_the_disk(jailed: Lab) -> None:
    lab = jailed
    step = lab.step("one", lab.makes("a"))
    with lab.runner(step) as runner:
        runner.apply()
    fill(lab.host)
    (lab.host.bin / "df").write_text("#!/bin/sh\necho /dev/ada0 9 9 0 100% /\n")
    (lab.host.bin / "fsync").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(Refused, match="cannot be written") as refused:
        lab.runner(step).connection.take()
    assert "/ (/dev/ada0) is full" in refused.value.evidence
    assert "jail bind: 384 MiB" in refused.value.evidence
