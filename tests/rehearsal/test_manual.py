"""apply --by-hand on the stand-in: a person types the lines shown; the host keeps the undo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import CellblockError
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from rollout.runbook.manual import Manual, Typed
from standin import StandIn
from tests.rehearsal.sites import ordered
from tests.rehearsal.typist import Typist, seen


class Person:
    """Types the lines shown into an interactive shell; at the step `cut` half of them."""

    def __init__(self, box: Box, cut: str = "") -> None:
        self.box = box
        self.cut = cut

    def typed(self, step: str, commands: Sequence[Typed]) -> str | None:
        standin = self.box.target
        assert isinstance(standin, StandIn)
        typist = Typist(standin.terminal(), "exec /bin/sh -i 2>&1")
        try:
            for command in commands[: len(commands) // 2 if step == self.cut else None]:
                printed, code = typist.type(f"# {command.says}\n{command.line}")
                assert code == 0, (command.line, printed)
                assert seen(command.sees, printed), (command, printed)
        finally:
            typist.close()
        if step == self.cut:
            standin.power_off()
            standin.boot()
        return ""


@pytest.fixture
def made() -> Plan:
    return ordered("mysql")


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        yield box


def runner(made: Plan, box: Box, cut: str = "", by_hand: bool = True) -> Runner:
    manual = Manual(Person(box, cut)) if by_hand else None
    return Runner(made, box.target, box.outside, Listener(), lambda step, gate: "me", manual=manual)


def test_a_typed_step_is_rolled_back_like_any_other(made: Plan, box: Box, tmp_path: Path) -> None:
    rehearsal = Rehearsal(made, box, Listener(), tmp_path)
    before = rehearsal.fingerprint()
    with runner(made, box) as typing:
        typing.apply()
        assert all(verdict.passed for verdict in typing.verify())
        entries = typing.known().entries
    assert {entry.state for entry in entries} == {"confirmed"}
    assert all(entry.hand for entry in entries)
    with runner(made, box, by_hand=False) as machine:
        machine.rollback()
    rehearsal.must_equal(before, "after the rollback")


def test_a_step_half_typed_at_a_power_cut_is_undone_at_boot(
    made: Plan, box: Box, tmp_path: Path
) -> None:
    rehearsal = Rehearsal(made, box, Listener(), tmp_path)
    with runner(made, box, by_hand=False) as machine:
        machine.apply("network")
    before = rehearsal.fingerprint()
    with runner(made, box, "mysql.jail") as typing, pytest.raises(CellblockError) as caught:
        typing.apply("mysql.jail")
    assert "restarted before the step was confirmed" in str(caught.value)
    with runner(made, box, by_hand=False) as machine:
        assert machine.known().entry("mysql.jail").state == "undone"  # type: ignore[union-attr]
    rehearsal.must_equal(before, "after the boot")
