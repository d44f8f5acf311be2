"""The user's command receives events, and can neither change nor delay the run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollout import site
from rollout.engine.checks import Verdict
from rollout.engine.listener import Listener, Result
from rollout.plan.step import Gate, Step
from rollout.terminal.hooks import Command, Hooks

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")
STEP = Step("mysql.cutover", "Because.", (), ())
GATE = Gate("Go on?", ("a crontab: mysqldump -phunter2",))


class Notes(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def result(outcome: str, reason: str = "") -> Result:
    failed = (Verdict("jail runs", False, 0.0, "the password is hunter2"),)
    return Result(STEP.name, outcome, 1, failed, 1, 1, 0.0, 1.0, reason)


@contextmanager
def hooks(
    line: str, *, limit: float = 10, asks: bool = True, heard: Listener | None = None
) -> Iterator[Hooks]:
    made = Hooks(SAMPLE, "apply", Command(line, limit), heard or Listener(), asks=asks)
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events"


def events(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_event_comes_in_its_order_with_what_it_is_about(file: Path) -> None:
    with hooks(f"cat >> {file}") as hook:
        hook.gate(STEP, GATE)
        hook.step(STEP, "running 3 commands", 3)
        hook.line("a line")
        hook.result(result("confirmed"))
        hook.undoing(STEP.name, "rollback")
        hook.result(result("undone"))
    found = events(file)
    assert [each["event"] for each in found] == ["gate", "begun", "confirmed", "begun", "undone"]
    for each in found:
        assert each["step"] == "mysql.cutover"
        assert each["site"] == "dcserver"
        assert each["host"] == "203.0.113.2"
        assert each["run"] == "apply"
        assert each["time"].endswith("Z")
        assert each["text"].startswith("dcserver: mysql.cutover: ")
    assert found[0]["question"] == "Go on?"
    assert found[1]["why"] == "Because."


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        ("confirmed", "confirmed"),
        ("undone", "undone"),
        ("rolledback", "undone"),
        ("stuck", "stuck"),
        ("unreachable", "unreachable"),
    ],
)
def test_what_a_step_came_to_is_an_event(file: Path, outcome: str, event: str) -> None:
    with hooks(f"cat >> {file}") as hook:
        hook.result(result(outcome, "it was so"))
    [found] = events(file)
    assert (found["event"], found["reason"]) == (event, "it was so")


@pytest.mark.parametrize("outcome", ["interrupted", "refused", "locked"])
def test_what_the_person_saw_or_never_began_is_none(file: Path, outcome: str) -> None:
    with hooks(f"cat >> {file}") as hook:
        hook.result(result(outcome))
    assert not file.exists()


def test_a_gate_that_nobody_waits_at_is_no_event(file: Path) -> None:
    with hooks(f"cat >> {file}", asks=False) as hook:
        hook.gate(STEP, GATE)
    assert not file.exists()


def test_a_gate_that_was_told_is_not_told_again_when_the_run_stops_there(file: Path) -> None:
    with hooks(f"cat >> {file}") as hook:
        hook.gate(STEP, GATE)
        hook.result(result("waiting"))
    assert [each["event"] for each in events(file)] == ["gate"]


def test_a_gate_at_which_nobody_was_asked_is_told_when_the_run_stops_there(file: Path) -> None:
    with hooks(f"cat >> {file}", asks=False) as hook:
        hook.gate(STEP, GATE)
        hook.result(result("waiting"))
    [found] = events(file)
    assert (found["event"], found["question"]) == ("gate", "Go on?")


def test_no_event_has_what_the_host_said(file: Path) -> None:
    with hooks(f"cat >> {file}") as hook:
        hook.gate(STEP, GATE)
        hook.line("the password is hunter2")
        hook.note("the password is hunter2")
        hook.result(result("stuck", "mysql.cutover is stuck: the undo of 003 failed"))
    assert "hunter2" not in file.read_text()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("echo no such luck >&2; exit 3", "it exited with 3: no such luck"),
        ("/nowhere/to-be-found", "it exited with 127"),
        ("kill -9 $$", "it exited with -9"),
        ("sleep 60", "it took longer than 1 s and was killed"),
        ("exec <&-; exit 1", "it exited with 1"),
    ],
    ids=["fails", "missing", "killed", "hangs", "does not read"],
)
def test_a_hook_that_fails_is_told_of_once_and_the_run_goes_on(line: str, says: str) -> None:
    heard = Notes()
    with hooks(line, limit=1, heard=heard) as hook:
        hook.step(STEP, "running")
        hook.result(result("confirmed"))
    [note] = heard.notes
    assert note.startswith(f"the hook failed at begun mysql.cutover: {says}")


def test_a_hook_that_fails_again_is_not_told_of_again(file: Path) -> None:
    heard = Notes()
    with hooks(f"cat >> {file}; exit 1", heard=heard) as hook:
        for n in range(1, 4):
            hook.step(STEP, "running")
            while not file.exists() or len(events(file)) < n:
                time.sleep(0.05)
            time.sleep(0.3)
    assert len(heard.notes) == 1


def test_at_the_end_a_hook_has_no_longer_than_one_may_take_altogether(tmp_path: Path) -> None:
    heard = Notes()
    with hooks("sleep 1.5; exit 1", limit=2, heard=heard) as hook:
        hook.step(STEP, "running")
        hook.result(result("confirmed"))
        hook.result(result("undone"))
    assert hook._command.failures == [
        "at begun mysql.cutover: it exited with 1",
        "at confirmed mysql.cutover: it was still running at the end of the run, and was killed",
        "at the end: it was not run for 1 events",
    ]


def test_nobody_waits_for_a_hook_that_hangs_but_at_the_end_for_a_moment(tmp_path: Path) -> None:
    mark = tmp_path / "late"
    began = time.monotonic()
    with hooks(f"sleep 30; touch {mark}", limit=1) as hook:
        for _ in range(20):
            hook.step(STEP, "running")
        assert time.monotonic() - began < 0.5
    assert time.monotonic() - began < 5
    assert not mark.exists()


def test_what_a_hook_has_started_is_killed_with_it(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    with hooks(f"(sleep 2; touch {mark}) & sleep 30", limit=0.5) as hook:
        hook.step(STEP, "running")
    time.sleep(2)
    assert not mark.exists()


def test_what_a_hook_prints_does_not_come_to_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with hooks("cat; echo hello; echo there >&2") as hook:
        hook.step(STEP, "running")
    assert capfd.readouterr() == ("", "")
