"""The live view: its contents at each point of a run."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console, ConsoleDimensions
from rich.live import Live as Region

from rollout.plan.step import Step
from rollout.terminal import live
from rollout.terminal.live import Live
from tests.unit.rollout import runs
from tests.unit.rollout.runs import STEP

STEPS = ("preflight", "base", "network", "mysql.jail", "mysql.cutover")


AT = 1_700_000_000.0  # the value of both clocks in these tests


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: AT, time=lambda: AT))
    # Drawn by the test alone: a thread beside it would read the prober's file at the same time.
    monkeypatch.setattr(live, "Region", partial(Region, auto_refresh=False))
    console = Console(file=io.StringIO(), width=100, height=30, force_terminal=True)
    return Live(console, "dcserver", STEPS)


def seen(view: Live, later: float = 0.0, width: int = 100) -> list[str]:
    """The lines of the live view, so many seconds from now."""
    view._console.size = ConsoleDimensions(width, 30)
    console = Console(file=io.StringIO(), width=width, height=30, record=True)
    console.print(view.frame(AT + later, AT + later))
    return [line.rstrip() for line in console.export_text().splitlines()]


def row(view: Live, name: str, later: float = 0.0) -> str:
    [found] = [line for line in seen(view, later) if line.startswith(name)]
    return found[len(name) :].strip()


def test_the_step_its_place_and_the_command_at_hand(view: Live) -> None:
    view.act("apply")
    view.step(STEP, "running 2 commands", 2)
    assert row(view, "run").split() == ["dcserver:", "apply", "0:00"]
    assert row(view, "run", 75).endswith("1:15")
    assert row(view, "step") == "mysql.cutover (5 of 5)"
    assert row(view, "now") == "running 2 commands"
    assert row(view, "deadline") == "120 s after the last command"
    view.line("001 stop [the] host's mysql-server")
    view.line("Stopping mysql.")
    assert row(view, "step") == "mysql.cutover (5 of 5), running 2 commands"
    assert row(view, "now") == "1 of 2: stop [the] host's mysql-server"
    view.close()


def test_a_rehearsal_says_which_of_its_parts_runs(view: Live) -> None:
    view.act("rollback", "part 2 of 5")
    assert row(view, "run").split() == ["dcserver:", "part", "2", "of", "5:", "rollback", "0:00"]
    view.close()


def test_before_the_first_step_it_is_seen_what_is_done_meanwhile(view: Live) -> None:
    view.act("apply")
    view.note("running the preflight checks: 4")
    assert (row(view, "step"), row(view, "now")) == (
        "",
        "running the preflight checks: 4",
    )
    view.close()


def test_the_seconds_to_the_deadline_are_counted_down(view: Live) -> None:
    view.step(STEP, "running 2 commands", 2)
    view.line(runs.logged("applied"))
    assert row(view, "deadline").startswith("automatic rollback in 120 s")
    view.checking(STEP.name, 3, 97)
    assert row(view, "now") == "running 3 checks"
    assert row(view, "deadline").startswith("automatic rollback in 97 s")
    assert row(view, "deadline", 60).startswith("automatic rollback in 37 s")
    assert row(view, "deadline", 600).startswith("automatic rollback in 0 s")
    view.result(runs.result())
    assert row(view, "deadline") == "none"
    assert row(view, "now") == "confirmed"
    view.close()


def test_an_undo_has_no_deadline_and_its_commands_no_total(view: Live) -> None:
    view.step(STEP, "running 2 commands", 2)
    view.line(runs.logged("applied"))
    view.undoing(STEP.name, "2 checks failed")
    assert row(view, "now") == "undoing it (2 checks failed)"
    view.line("002 undo: start the jail's")
    assert row(view, "now") == "undo: start the jail's"
    assert row(view, "deadline") == "none"
    view.close()


def test_a_step_of_another_plan_has_no_place_in_this_one(view: Live) -> None:
    view.undoing("web.standby", "rollback")
    assert row(view, "step") == "web.standby"
    view.close()


def probes(file: Path, *, error: str | None) -> None:

    plain = {"ms": 1.0, "held": False, "m": 0}
    told = [
        {"t": AT - 20, "m": 0, "service": "mysql", "rate": 20},
        {"t": AT - 20, "m": 0, "service": "web", "rate": 20},
        {**plain, "t": AT - 9, "service": "mysql", "who": "host", "error": None},
        {**plain, "t": AT - 8, "service": "web", "who": "web", "error": None},
        {**plain, "t": AT - 4, "service": "mysql", "who": None, "error": "refused"},
    ]
    if error is None:
        told.append({**plain, "t": AT - 1, "service": "mysql", "who": "mysql", "error": None})
    file.write_text("".join(json.dumps(each) + "\n" for each in told))


def test_each_service_has_a_line_with_its_last_answers(view: Live, tmp_path: Path) -> None:
    file = tmp_path / "probes.jsonl"
    view.watching(file)
    assert not [line for line in seen(view) if "mysql" in line]
    probes(file, error=None)
    assert row(view, "web").split() == ["=", "web"]
    assert row(view, "mysql").split() == [".", "x", "=", "mysql", "gap", "8.00", "s"]
    assert "the last 30 s: . host   = jail   - unknown   x no answer" in seen(view)


def test_a_service_that_does_not_answer_now_says_for_how_long(view: Live, tmp_path: Path) -> None:
    file = tmp_path / "probes.jsonl"
    view.watching(file)
    probes(file, error="refused")
    assert "no answer for 9.0 s" in row(view, "mysql")
    assert "no answer for 11.0 s" in row(view, "mysql", 2)


@pytest.mark.parametrize("width", [30, 60, 250])
def test_no_line_is_longer_than_the_terminal_is_wide(
    view: Live, tmp_path: Path, width: int
) -> None:
    file = tmp_path / "probes.jsonl"
    probes(file, error="refused")
    view.watching(file)
    view.step(Step("a.very.long.name.of.a.step" * 9, "Because.", (), ()), "running" * 50, 2)
    view.line("001 " + "a long title of a command " * 20)
    lines = seen(view, width=width)
    assert all(len(line) <= width for line in lines)
    assert len(lines) == 8
    view.close()


def test_what_has_ended_stands_above_and_stays(view: Live) -> None:
    runs.replay(view)
    text = view._console.file.getvalue()  # type: ignore[attr-defined]
    assert "mysql.cutover: confirmed, 2 commands, 4.0 s" in text
    assert "Stopping mysql." not in text
    assert text.rindex("outage  ") > text.rindex("\x1b[?25h"), "the table is not the last"
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 2
    view.close()


def test_the_terminal_is_the_persons_while_a_gate_asks(view: Live) -> None:
    view.act("apply")
    view.gate(STEP, runs.GATE)
    text = view._console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor is hidden"
    view.step(STEP, "running 2 commands", 2)
    assert view._console.file.getvalue().count("\x1b[?25l") == 2  # type: ignore[attr-defined]
    view.close()


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_a_terminal_that_cannot_do_it_gets_lines(
    monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("TERM", term)
    assert live.terminal(stream) is None


def test_what_is_no_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert live.terminal(io.StringIO()) is None
