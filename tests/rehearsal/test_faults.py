"""Faults injected into a rehearsal on the stand-in: each ends as before, or confirmed, verified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import Stuck
from rollout.host.bundle import Command
from rollout.plan import Plan
from rollout.rehearsal import faults
from rollout.rehearsal import rehearsal as rehearsals
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.faults import Fault
from rollout.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.on_standin import Notes
from tests.rehearsal.sites import ordered

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DRAWN = [
    Fault("base", "power", 0.0),  # before this step nothing undoes at boot
    Fault("base", "fail-after", 0.9),
    Fault("network", "connection", 0.3),
    Fault("network", "power", 0.5),
    Fault("network", "hang", 0.2),
    Fault("network", "fail", 0.99),
]
ENDS = ["as before", "as before", "confirmed and verified", "as before", "as before", "as before"]


@pytest.fixture
def made() -> Plan:
    return ordered()


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        yield box


def test_each_kind_ends_as_it_must(
    made: Plan, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "draw", lambda count, seed, steps: DRAWN)
    told = Notes()
    Rehearsal(made, box, told, tmp_path).chaos(len(DRAWN), 1)
    *_, table = told.notes
    assert [row.partition("  ")[2].strip() for row in table.splitlines()[2:]] == ENDS


def test_a_second_run_that_changes_something_is_found(
    made: Plan, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a command that is no longer needed; the operation does not check for that."""

    def once_more(runner: Runner, position: int) -> tuple[Command, ...]:
        grows = Command("a line", "echo more >> /etc/motd.template", "undo")
        return (grows,) if made.steps[position].name == "network" else ()

    monkeypatch.setattr(rehearsals, "_wanted", once_more)
    rehearsal = Rehearsal(made, box, Listener(), tmp_path)
    with pytest.raises(Stuck, match="a second run changed something") as caught:
        rehearsal.whole()
    assert "network: +path /etc/motd.template" in caught.value.evidence or (
        "/etc/motd.template" in caught.value.evidence
    )
    again = {row["step"]: row["again"] for row in rehearsal.verdicts.rows}
    assert again == {"base": "ok", "network": "FAILED"}
    assert {row["reboot"] for row in rehearsal.verdicts.rows} == {"-"}
