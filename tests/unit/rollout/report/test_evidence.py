"""The host's evidence for a report: its own fingerprints and logs, of this run and no other."""

from __future__ import annotations

import pytest

from rollout.engine.runner import Runner
from rollout.errors import RolledBack, Stuck, Waiting
from rollout.plan.step import Gate
from rollout.report import evidence
from rollout.report.evidence import Evidence
from tests.unit.rollout.lab import Lab, leave_applied

GATE = Gate("Is it well?", ("the log",))


@pytest.fixture(autouse=True)
def _its_journal(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "JOURNAL", str(lab.host.journal))


def ask(lab: Lab, runner: Runner, back: bool = False) -> Evidence:
    return evidence.gather(lab.host, runner.results, back)


def has(facts: list[str], lab: Lab, name: str) -> bool:
    return any(str(lab.path(name)) in fact for fact in facts)


def test_forward_it_is_what_the_first_step_found_and_what_is_there_now(lab: Lab) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b")))
    runner.apply()
    found = ask(lab, runner)
    assert not found.missing
    assert found.confirmed == ["one", "two"]
    assert not has(found.before, lab, "a")
    assert has(found.after, lab, "a")
    assert has(found.after, lab, "b")
    assert list(found.logs) == ["one", "two"]
    assert found.logs["two"].lines[0].endswith("002-two: applying")
    assert found.logs["two"].lines[-1].endswith("002-two: confirmed")
    assert found.logs["two"].left_out == 0


def test_only_the_steps_of_this_run_are_told(lab: Lab) -> None:
    steps = (lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b")))
    with lab.runner(*steps) as first:
        first.apply("one")
    with lab.runner(*steps) as runner:
        runner.apply()
    found = ask(lab, runner)
    assert list(found.logs) == ["two"]
    assert has(found.before, lab, "a")
    assert not has(found.before, lab, "b")


def test_of_the_way_back_the_log_begins_where_the_undo_began(lab: Lab) -> None:
    steps = (lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b")))
    with lab.runner(*steps) as forth:
        forth.apply()
    with lab.runner(*steps) as runner:
        runner.rollback()
    found = ask(lab, runner, back=True)
    assert list(found.logs) == ["two", "one"]
    for log in found.logs.values():
        assert log.lines[0].endswith(": undoing")
        assert log.lines[-1].endswith(": undone")
    assert has(found.before, lab, "b")
    assert not has(found.after, lab, "a")
    assert found.confirmed == []


def test_a_step_that_failed_has_its_whole_log(lab: Lab) -> None:
    broken = lab.makes("b", then="echo no luck >&2; exit 5")
    runner = lab.runner(lab.step("one", lab.makes("a"), broken))
    with pytest.raises(RolledBack):
        runner.apply()
    found = ask(lab, runner)
    assert "no luck" in found.logs["one"].lines
    assert sorted(found.before) == sorted(found.after)


def test_after_an_undo_it_has_what_the_host_compared(lab: Lab) -> None:
    broken = lab.makes("b", then="echo no luck >&2; exit 5")
    runner = lab.runner(lab.step("one", lab.makes("a")), lab.step("two", broken))
    with pytest.raises(RolledBack):
        runner.apply()
    found = ask(lab, runner)
    assert list(found.compared) == ["two"]
    assert found.compared["two"].differences == []
    assert found.compared["two"].facts == len(found.after)


def test_of_a_step_that_is_stuck_it_has_what_differs(lab: Lab) -> None:
    leaves = lab.makes("b", then=f"echo x >{lab.path('left')}; exit 5")
    runner = lab.runner(lab.step("one", leaves, lab.makes("left")))
    with pytest.raises(Stuck):
        runner.apply()
    compared = ask(lab, runner).compared["one"]
    assert compared.differences
    assert all(line.startswith("+ ") for line in compared.differences)
    assert has(compared.differences, lab, "left")


def test_a_step_that_waits_at_its_gate_has_not_begun(lab: Lab) -> None:
    """It also shows nothing that an earlier run left of it."""
    step = lab.step("one", lab.makes("a"), gate=GATE)
    with lab.runner(step, yes=True) as forth:
        forth.apply()
    with lab.runner(step) as back:
        back.rollback()
    with lab.runner(step) as runner, pytest.raises(Waiting):
        runner.apply()
    found = ask(lab, runner)
    assert found.logs == {}
    assert found.before == found.after


def test_a_step_that_an_earlier_run_applied_was_there_before(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b")))
    leave_applied(lab, steps[0], monkeypatch=monkeypatch)
    with lab.runner(*steps) as runner:
        runner.apply()
    found = ask(lab, runner)
    assert list(found.logs) == ["one", "two"]
    assert has(found.before, lab, "a")
    assert not has(found.before, lab, "b")


def test_a_long_log_is_cut_at_its_front_and_says_by_how_much(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "LOG", 100)
    loud = lab.makes("a", then="i=0; while [ $i -lt 50 ]; do i=$((i + 1)); echo line $i; done")
    runner = lab.runner(lab.step("one", loud))
    runner.apply()
    log = ask(lab, runner).logs["one"]
    assert "line 50" in log.lines
    assert log.left_out == len(lab.host.log("001-one").encode()) - 100


def test_a_line_that_looks_like_ours_is_a_line(lab: Lab) -> None:
    loud = lab.makes("a", then=r"printf '%s\n' '-- status' 'state 001-two confirmed x' '\377'")
    runner = lab.runner(lab.step("one", loud))
    runner.apply()
    found = ask(lab, runner)
    assert found.confirmed == ["one"]
    assert "state 001-two confirmed x" in found.logs["one"].lines


def test_a_host_without_a_journal_has_nothing_to_say(lab: Lab) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a")))
    assert "nothing was ever begun" in ask(lab, runner).missing


def test_a_host_that_is_gone_is_told_and_raises_nothing(lab: Lab) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a")))
    runner.apply()
    lab.host.down = True
    found = ask(lab, runner)
    assert found.missing
    assert found.after == []
