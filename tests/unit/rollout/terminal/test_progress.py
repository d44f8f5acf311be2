"""^C at every point of a run: what it leaves, and what the host does with it."""

from __future__ import annotations

import re

import pytest

from rollout.plan.step import Step
from rollout.terminal.progress import Progress
from tests.unit.rollout import runs
from tests.unit.rollout.runs import STEP


@pytest.fixture
def run() -> Progress:
    return Progress()


def test_before_anything_was_begun(run: Progress) -> None:
    assert str(run.interrupted()).startswith("interrupted; nothing is running on the host\n")
    assert run.interrupted().code == 130


def test_at_a_gate_nothing_of_the_step_was_begun(run: Progress) -> None:
    run.gate(STEP, runs.GATE)
    assert "at the gate of mysql.cutover: no command of it has run" in str(run.interrupted())


def test_while_commands_run_the_host_goes_on(run: Progress) -> None:
    run.step(STEP, "running 2 commands", 2)
    run.line(runs.logged("applying"))
    run.line("001 stop the host's: applied")
    said = str(run.interrupted())
    assert "while mysql.cutover was running: it continues on the host" in said
    assert "confirmed within 120 s after its last command" in said


@pytest.mark.parametrize("seen", ["in its log", "by the runner"])
def test_while_checks_are_asked_the_deadline_is_named(run: Progress, seen: str) -> None:
    run.step(STEP, "running 2 commands", 2)
    if seen == "in its log":
        run.line(runs.logged("applied"))
    else:
        run.checking(STEP.name, 3, 97)
    said = str(run.interrupted())
    assert "mysql.cutover was checked: it is applied and not confirmed" in said
    left = "120" if seen == "in its log" else "97"
    assert re.search(rf"automatic rollback in {left} s, at \d\d:\d\d:\d\d, unless", said)


def test_a_step_that_failed_is_undone_by_the_host(run: Progress) -> None:
    run.step(STEP, "running 2 commands", 2)
    run.line(runs.logged("undoing"))
    assert "was being undone: the undo continues on the host" in str(run.interrupted())


def test_an_undo_that_was_asked_for_goes_on(run: Progress) -> None:
    run.undoing(STEP.name, "rollback")
    run.line(runs.logged("applied"))
    assert "was being undone: the undo continues on the host" in str(run.interrupted())


def test_what_is_checked_after_an_undo_has_no_deadline(run: Progress) -> None:
    run.undoing(STEP.name, "rollback")
    run.checking(STEP.name, 3)
    assert "after mysql.cutover was undone" in str(run.interrupted())


def test_between_two_steps_nothing_is_under_way(run: Progress) -> None:
    run.step(STEP, "running 2 commands", 2)
    run.result(runs.result())
    said = str(run.interrupted())
    assert "nothing is running on the host; mysql.cutover had ended" in said


def test_that_a_step_was_interrupted_is_not_its_end(run: Progress) -> None:
    run.step(STEP, "running 2 commands", 2)
    run.result(runs.result("interrupted"))
    assert "while mysql.cutover was running" in str(run.interrupted())


def test_the_log_of_another_step_is_not_this_ones(run: Progress) -> None:
    run.step(Step("web.cutover", "Because.", (), ()), "running 2 commands", 2)
    run.line(runs.logged("applied"))
    assert "while web.cutover was running" in str(run.interrupted())
