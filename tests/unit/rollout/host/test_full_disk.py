"""A disk that is full, or fills during a step: what cannot be recorded is not done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyinfra.api import operation

from operations.command import Commands
from rollout.errors import Refused, RolledBack
from rollout.plan.step import use
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


def test_what_is_confirmed_keeps_no_room(lab: Lab) -> None:
    with lab.runner(lab.step("one", lab.makes("a"))) as runner:
        runner.apply()
    assert lab.host.state("001-one") == "confirmed"
    assert not (lab.host.journal / ROOM).exists()
