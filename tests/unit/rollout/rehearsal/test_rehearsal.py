"""A rehearsal compares the host with before, and fails when a difference is planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout import plan, site
from rollout.engine.listener import Listener
from rollout.errors import Refused, RolledBack, Stuck
from rollout.host.bundle import Bundle, Command
from rollout.rehearsal.faults import Fault, Injector, draw
from rollout.rehearsal.rehearsal import Rehearsal
from rollout.rehearsal.verdicts import Column
from tests.unit.rollout.unreachable import nowhere

PLAN = plan.make(site.read(Path(__file__).parents[4] / "site.example.toml"))
STEPS = [step.name for step in PLAN.steps if step.operations]
BEFORE = ["address lo0 127.0.0.1", "line /etc/rc.conf sshd_enable=YES", "service named runs"]


class Notes(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def verdicts(self, rows: Sequence[dict[str, str]], summary: str) -> None:
        self.rows = rows
        self.summary = summary


class Staged(Rehearsal):
    """Records acts instead of playing them; `ends` gives the end of each."""

    def __init__(self, where: Path, ends: dict[str, Exception] | None = None) -> None:
        self.notes = Notes()
        self.restarts: list[str] = []
        box = replace(nowhere(), reboot=lambda: self.played.append("restart"))
        super().__init__(PLAN, box, self.notes, where)
        self.played: list[str] = []
        self.parts: list[str] = []
        self.faults: list[Fault] = []
        self.ends = ends or {}
        self.now = [list(BEFORE)]
        self.done: set[str] = set()

    def compiled(self, position: int) -> Bundle:
        command = Command("says", "do", "undo")
        return Bundle("001-x", PLAN.steps[position], (command,) * 5, {})

    def fingerprint(self) -> list[str]:
        return self.now.pop(0) if len(self.now) > 1 else self.now[0]

    def _act(self, name: str, run: Callable[..., Any], injector: Injector | None = None) -> None:
        self.played.append(name)
        self.parts.append(f"{self._part}: {name}")
        if injector:
            self.faults.append(injector.fault)
        for start, error in self.ends.items():
            if name.startswith(start):
                raise error

    def _verify(self, column: Column) -> None:
        self.played.append(column)

    def _baselines(self) -> None:
        self.played.append("baselines")

    def _again(self) -> None:
        self.played.append("again")

    def _go_before(self, name: str, position: int, last: str | None) -> None:
        self.played.append(f"before {PLAN.steps[position].name}")


def test_all_of_it_is_forward_back_compared_forward_again_and_restarted(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path)
    rehearsal.whole()
    assert rehearsal.played == [
        "apply",
        "verify",
        "rollback",
        "baselines",
        "apply again",
        "verify",
        "again",
        "restart",
        "reboot",
    ]
    assert rehearsal.parts == [
        "part 1 of 5: apply",
        "part 2 of 5: rollback",
        "part 3 of 5: apply again",
    ]
    assert rehearsal.notes.notes[-1] == "--- part 5 of 5: restarting the box"
    assert rehearsal.notes.notes[0] == (
        "after the rollback: compared with before: identical (3 facts)"
    )
    assert len(rehearsal.notes.rows) == len([step for step in PLAN.steps if step.operations])


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ([*BEFORE, "rule 500 allow ip"], "+rule 500 allow ip"),
        (BEFORE[1:], "-address lo0 127.0.0.1"),
        ([BEFORE[0], "line /etc/rc.conf sshd_enable=NO", BEFORE[2]], "+line /etc/rc.conf sshd_ena"),
    ],
    ids=["more", "less", "other"],
)
def test_a_planted_difference_is_named(tmp_path: Path, after: list[str], told: str) -> None:
    rehearsal = Staged(tmp_path)
    rehearsal.now = [BEFORE, after]
    with pytest.raises(Stuck, match="after the rollback the host is not as before") as caught:
        rehearsal.whole()
    assert told in caught.value.evidence
    assert "apply again" not in rehearsal.played


def test_a_broken_command_is_that_of_its_step_and_number(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path, {"apply web.cutover": RolledBack("it was undone")})
    with pytest.raises(RolledBack, match=r"^\(a failure that --break injected\)") as caught:
        rehearsal.broken("web.cutover", 2)
    assert caught.value.todo.startswith("nothing has to be repaired")
    assert "on a live server: correct the cause, then cellblock apply" in caught.value.todo
    assert rehearsal.faults == [Fault("web.cutover", "fail", number=2)]
    assert [part[:11] for part in rehearsal.parts] == ["part 1 of 2", "part 2 of 2"]
    assert rehearsal.played[0] == "apply"
    assert "compared with before: identical" in rehearsal.notes.notes[-1]


def test_a_host_that_differs_after_a_failure_is_no_clean_rollback(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path, {"apply network": RolledBack("it was undone")})
    rehearsal.now = [BEFORE, [*BEFORE, "rule 1"]]
    with pytest.raises(Stuck, match="after the failure of network the host is not as before"):
        rehearsal.broken("network", 1)


def test_a_step_that_was_to_fail_and_did_not_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(Stuck, match="injected at command 5 of network, but the step did not fail"):
        Staged(tmp_path).broken("network", 5)


def test_a_command_that_is_not_there_cannot_be_broken(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path)
    with pytest.raises(Refused, match="network has 5 commands on this host: there is no command 6"):
        rehearsal.broken("network", 6)
    assert rehearsal.played == [], "steps ran before it was refused"
    assert not hasattr(rehearsal.notes, "summary"), "the refusal is told twice"


def test_an_unknown_step_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path)
    with pytest.raises(Refused, match="no step 'nosuch'"):
        rehearsal.broken("nosuch", 1)
    assert rehearsal.played == []


# Chaos.


def test_each_failure_ends_as_before_or_confirmed(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path, {"chaos 1,": RolledBack("it was undone"), "chaos 2,": Stuck("?")})
    rehearsal.chaos(3, 7)
    assert [each.step for each in rehearsal.faults] == [each.step for each in draw(3, 7, STEPS)]
    assert rehearsal.notes.notes[0] == "chaos: 3 failures, seed 7"
    compared = [note for note in rehearsal.notes.notes if "compared with before: identical" in note]
    assert len(compared) == 3  # the two that were undone, and the end
    assert "chaos 2: undone" in rehearsal.played
    assert rehearsal.played.count("verify") == 2  # after the one confirmed, and after all


def test_a_failure_after_which_the_host_differs_is_told(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path, {"chaos 1,": RolledBack("it was undone")})
    rehearsal.now = [BEFORE, BEFORE, [*BEFORE, "rule 1"]]
    with pytest.raises(Stuck, match=r"after command . of .* the host is not as before"):
        rehearsal.chaos(1, 7)
