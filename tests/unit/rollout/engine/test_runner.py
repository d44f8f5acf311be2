"""Applies steps on a small host on which host.sh really runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra import host as pyinfra_host
from pyinfra.api import operation
from pyinfra.api.facts import FactBase

from operations.command import Commands, Reversible
from rollout.engine import checks, connection
from rollout.engine.checks import Verdict
from rollout.errors import CellblockError, Locked, Refused, RolledBack, Waiting
from rollout.host import bundle
from rollout.plan.step import Gate, Step, Use, check, use
from tests.unit.rollout.lab import GATE, Lab, leave_applied, start, until
from tests.unit.rollout.small_host import SmallHost, small_host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHost]:
    """Under one sh: applying steps depends little on which."""
    yield from small_host(tmp_path / "h", "dash", monkeypatch)


def test_steps_run_are_checked_and_confirmed(lab: Lab) -> None:
    one = lab.step("one", lab.makes("a"), lab.makes("b"), wants="b")
    two = lab.step("two", lab.makes("c"), wants="c")
    runner = lab.runner(lab.step("asks"), one, two)
    runner.apply()
    assert lab.acts == ["do-a", "do-b", "do-c"]
    assert lab.host.state("002-one") == lab.host.state("003-two") == "confirmed"
    assert lab.host.read("002-one", "progress").split("\n")[:-1] == [
        "begun 001",
        "done 001",
        "begun 002",
        "done 002",
    ]
    found = [(r.step, r.outcome, r.commands, r.passed, len(r.checks)) for r in runner.results]
    assert found == [("one", "confirmed", 2, 2, 2), ("two", "confirmed", 1, 3, 3)]
    assert runner.results == lab.listener.results
    assert all(r.began <= r.ended and r.trips > 2 for r in runner.results)


def test_a_step_costs_one_new_connection_whatever_it_has_of_commands(lab: Lab) -> None:
    small = lab.step("small", lab.makes("a"))
    big = lab.step("big", *(lab.makes(f"b{n}") for n in range(12)))
    runner = lab.runner(small, big)
    runner.apply()
    costs = [(result.channels, result.trips) for result in runner.results]
    assert [channels for channels, _ in costs] == [1, 1]
    # One more check runs after the second step.
    assert costs[1][1] - costs[0][1] == 1
    assert len(lab.host.shells) == 3


def test_states_are_told_in_their_order(lab: Lab) -> None:
    lab.runner(lab.step("one", lab.makes("a"))).apply()
    words = [line.rpartition(": ")[2] for line in lab.listener.lines if "001-one: " in line]
    assert words == ["applying", "applied"]
    states = [row.split()[-1] for row in (lab.host.journal / "log").read_text().splitlines()]
    assert states == ["applying", "applied", "confirmed"]
    assert lab.listener.steps == ["one: running 1 commands"]


def test_what_is_asked_and_how_long_is_left_is_told(lab: Lab) -> None:
    with lab.runner(lab.step("one", lab.makes("a"), gate=GATE), yes=True) as runner:
        runner.apply()
        runner.rollback()
    gate, forward, undoing, back = lab.listener.more
    assert gate == "one: gate Is it well?"
    assert re.fullmatch(r"one: 1 checks, 1(20|1\d) s left", forward)
    assert (undoing, back) == ("one: undoing, rollback", "one: 0 checks, None s left")


def test_checks_that_outlast_the_deadline_are_not_what_the_step_failed_by(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host has undone the step meanwhile, so they fail; the deadline is the reason."""

    def outlast(*_: Any, **__: Any) -> list[Verdict]:
        lab.host.wait("001-one", "undone")
        return [Verdict("a is there", False, 0.0, "a is missing")]

    monkeypatch.setattr(checks, "run", outlast)
    runner = lab.runner(lab.step("one", lab.makes("a"), confirm_within=1))
    with pytest.raises(RolledBack, match="one: no confirm came before the deadline, while its"):
        runner.apply()
    assert lab.acts == ["do-a", "undo-a"]
    assert [result.outcome for result in runner.results] == ["rolledback"]


def test_a_step_that_failed_says_why_in_its_result(lab: Lab) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a", then="exit 3")))
    with pytest.raises(RolledBack) as caught:
        runner.apply()
    [result] = runner.results
    assert (result.outcome, result.reason) == ("rolledback", caught.value.what)
    assert caught.value.what.startswith("one: command 1 of 1 failed, exit code 3: ")
    assert caught.value.todo.startswith("nothing has to be repaired; the whole log is ")
    assert caught.value.todo.endswith("then cellblock apply")


def test_a_step_that_is_interrupted_is_not_called_confirmed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    runner = lab.runner(lab.step("one", lab.makes("a")))
    monkeypatch.setattr(runner, "_checked", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.apply()
    assert [result.outcome for result in runner.results] == ["interrupted"]


def test_what_is_confirmed_is_not_run_again(lab: Lab) -> None:
    steps = lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b"))
    with lab.runner(*steps) as first:
        first.apply(to="one")
    with lab.runner(*steps) as second:
        second.apply()
    assert lab.acts == ["do-a", "do-b"]
    assert [result.step for result in second.results] == ["two"]


def test_a_gate_whose_checks_hold_is_passed_without_asking(lab: Lab) -> None:
    gate = Gate("Go on?", ("the paper",), (check("file::is_there", path="/"),))
    lab.runner(lab.step("one", lab.makes("a"), gate=gate)).apply()
    assert lab.acts == ["do-a"]


def test_what_a_gates_checks_find_is_shown_with_its_question(lab: Lab) -> None:
    gate = Gate("Go on?", ("the paper",), (check("file::is_there", path="/nowhere"),))
    with pytest.raises(Waiting, match=r"one waits at its gate: Go on\?") as caught:
        lab.runner(lab.step("one", lab.makes("a"), gate=gate)).apply()
    assert caught.value.evidence == "the paper\n/nowhere is missing"
    assert lab.acts == []


def test_a_gate_stops_the_run_before_its_step(lab: Lab) -> None:
    steps = lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b"), gate=GATE)
    with lab.runner(*steps) as first, pytest.raises(Waiting, match="two waits at its gate: Is it"):
        first.apply()
    assert lab.acts == ["do-a"]
    assert [result.outcome for result in first.results] == ["confirmed", "waiting"]
    with lab.runner(*steps, yes=True) as second:
        second.apply()
    assert lab.acts == ["do-a", "do-b"]


def test_a_host_that_is_not_well_is_not_touched(lab: Lab) -> None:
    asks = lab.step("asks", wants="nosuch")
    runner = lab.runner(asks, lab.step("one", lab.makes("a")))
    with pytest.raises(Refused, match=r"does not pass the preflight checks") as caught:
        runner.apply()
    assert "nosuch is missing" in caught.value.evidence
    assert lab.acts == []
    assert not lab.host.journal.exists(), "something was written"


def test_two_runs_at_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LOCK_FOR", 1.0)
    steps = (lab.step("one", lab.makes("a")),)
    with lab.runner(*steps) as first:
        first.apply()
        with lab.runner(*steps) as second, pytest.raises(Locked):
            second.apply()
    assert lab.acts == ["do-a"]


def test_what_an_earlier_run_left_unconfirmed_is_checked_and_confirmed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (lab.step("one", lab.makes("a"), wants="a"),)
    leave_applied(lab, *steps, monkeypatch=monkeypatch)
    with lab.runner(*steps) as second:
        second.apply()
    assert lab.host.state("001-one") == "confirmed"
    assert lab.acts == ["do-a"]
    assert "not confirmed: checking it" in lab.listener.steps[-1]


def test_what_an_earlier_run_left_running_is_waited_for(lab: Lab) -> None:
    steps = (lab.step("one", lab.makes("a", then="sleep 1.5; echo x")),)
    first = lab.runner(*steps)
    made = start(first)
    assert lab.host.wait(made, "applying") == "applying"
    lab.host.cut()
    with lab.runner(*steps) as second:
        second.apply()
    assert lab.acts == ["do-a"]
    assert lab.host.state(made) == "confirmed"
    assert any(
        "being run by an earlier run; waiting for it to end" in note for note in lab.listener.notes
    )


def asks_until(lab: Lab, name: str, later: str) -> Step:
    """A step with checks only: they pass until another step removes what they look for."""
    asked = check("file::is_there", until=later, path=str(lab.path(name)))
    return Step("asks", "Because.", (), (asked,))


def test_whether_the_host_is_well_is_asked_when_what_was_left_running_rests(lab: Lab) -> None:
    """Between the stop of one daemon and the start of the other none runs, and that is no fault."""
    lab.path("daemon").touch()
    there = lab.path("daemon")
    gap = f"rm {there}; sleep 1; touch {there}"
    steps = (
        asks_until(lab, "daemon", "later"),
        lab.step("one", lab.makes("a", then=gap)),
        lab.step("later"),
    )
    made = start(lab.runner(*steps), 1)
    assert lab.host.wait(made, "applying") == "applying"
    until(lambda: not there.exists())
    lab.host.cut()
    with lab.runner(*steps) as second:
        second.apply("one")
    assert lab.host.state(made) == "confirmed"


def test_what_an_unconfirmed_step_took_away_is_no_fault(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.path("daemon").touch()
    steps = (
        asks_until(lab, "daemon", "one"),
        lab.step("one", lab.makes("a", then=f"rm {lab.path('daemon')}")),
    )
    leave_applied(lab, *steps, monkeypatch=monkeypatch)
    with lab.runner(*steps) as second:
        second.apply()
    assert lab.host.state("002-one") == "confirmed"


class Content(FactBase[str]):
    """The contents of a file."""

    default = str

    def command(self, path: str) -> str:
        return f"cat {path} 2>/dev/null || true"

    def process(self, output: list[str]) -> str:
        return "\n".join(output)


@operation()
def rewritten(path: str, acts: str) -> Commands:
    """Replaces the text of a file; the undo restores the text that it read before."""
    before = pyinfra_host.get_fact(Content, path=path)
    yield Reversible(
        f"echo do >> {acts}; printf %s new > {path}",
        undo=f"echo undo >> {acts}; printf %s '{before}' > {path}",
        says="rewrite it",
    )


def changed_meanwhile(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Use]:
    """A file, and an operation that rewrites it; it changes between the plan and the run."""
    path = lab.path("file")
    path.write_text("old")
    real = bundle.upload_script

    def upload(*words: Any) -> str:
        path.write_text("somebody's")
        return real(*words)

    monkeypatch.setattr(bundle, "upload_script", upload)
    return path, use(rewritten, path=str(path), acts=str(lab.acts_file))


def test_a_host_that_changed_since_the_plan_was_made_is_left_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, changes = changed_meanwhile(lab, monkeypatch)
    with pytest.raises(CellblockError, match="the host changed since the step was planned") as told:
        lab.runner(lab.step("one", changes)).apply()
    assert "< old\n" in told.value.evidence
    assert "> somebody's\n" in told.value.evidence
    assert path.read_text() == "somebody's"
    assert lab.acts == []
    assert lab.host.read("001-one", "progress") == ""
    assert lab.host.state("001-one") == "undone"


@pytest.mark.parametrize("text", ["old", "", "a\\b 'x'", "gr\udcfcn"])
def test_a_host_that_did_not_change_is_not_said_to_have(lab: Lab, text: str) -> None:
    path = lab.path("file")
    path.write_bytes(text.encode(errors="surrogateescape"))
    changes = use(rewritten, path=str(path), acts=str(lab.acts_file))
    lab.runner(lab.step("one", changes)).apply()
    assert path.read_text() == "new"


def test_only_root_may_read_the_journal(lab: Lab) -> None:
    path = lab.path("secret")
    path.write_text("x")
    path.chmod(0o600)
    lab.runner(lab.step("one", lab.makes("a", keep=(str(path),)))).apply()
    for each in lab.host.journal.rglob("*"):
        assert not each.stat().st_mode & 0o077, f"{each} can be read by others"
    assert not lab.path("a").stat().st_mode & 0o133, "what a command makes is not 644"


def test_a_check_that_leaves_something_is_not_asked_by_a_watch(lab: Lab) -> None:
    """And it does not make its step another one, which nobody has rehearsed."""
    asks = check("file::is_there", path=str(lab.path("a")), leaves=True)
    other = check("file::always")
    one = Step("one", "Because.", (lab.makes("a"),), (asks, other))
    runner = lab.runner(one)
    runner.apply()
    assert [each.name for each in runner.verify()] == ["file::is_there", "file::always"]
    assert [each.name for each in runner.verify(leaving=False)] == ["file::always"]
    assert repr(asks) == repr(check("file::is_there", path=str(lab.path("a"))))
