"""Steps that a person types: the host has the undo ready before the person begins."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import operation

from operations.command import Commands, Reversible
from rollout.errors import Refused, RolledBack, Stuck, Waiting
from rollout.host.journal import operator
from rollout.plan.step import Step, use
from rollout.report import status
from rollout.runbook import manual
from rollout.runbook.manual import TerminalTypist, Typed
from tests.unit.rollout.engine.test_runner import changed_meanwhile
from tests.unit.rollout.lab import GATE, Lab, leave_applied, start, until
from tests.unit.rollout.small_host import SmallHost, small_host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHost]:
    yield from small_host(tmp_path / "h", "dash", monkeypatch)


class Person:
    """Types the first `most` lines in a shell of its own; then answers `word`."""

    def __init__(self, host: SmallHost, most: int | None = None, word: str | None = "") -> None:
        self.host = host
        self.most = most
        self.word = word
        self.shown: list[tuple[str, list[Typed]]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def typed(self, step: str, commands: Sequence[Typed]) -> str | None:
        self.shown.append((step, list(commands)))
        lines = [command.line for command in commands][: self.most]
        text = "\n".join(lines) + "\n"
        environment = self.host.environment
        subprocess.run(["sh"], input=text, text=True, env=environment, cwd="/", check=True)
        self.meanwhile()
        return self.word


def test_a_step_that_is_typed_is_checked_and_confirmed_like_any_other(lab: Lab) -> None:
    person = Person(lab.host)
    one = lab.step("one", lab.makes("a"), lab.makes("b"), wants="b")
    with lab.runner(one, typist=person) as runner:
        runner.apply()
    [(step, commands)] = person.shown
    assert step == "one"
    assert [c.line for c in commands] == [
        (lab.host.journal / f"steps/001-one/do/00{n}.sh").read_text().partition("\n")[2].rstrip()
        for n in (1, 2)
    ]
    assert lab.acts == ["do-a", "do-b"]
    assert lab.host.state("001-one") == "confirmed"
    assert [(r.outcome, r.commands, r.passed) for r in runner.results] == [("confirmed", 2, 1)]
    with lab.runner(one) as again:
        again.rollback()
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
    assert lab.host.state("001-one") == "undone"


def test_a_person_at_the_console_takes_a_typed_step_back(lab: Lab) -> None:
    with lab.runner(lab.step("one", lab.makes("a")), typist=Person(lab.host)) as runner:
        runner.apply()
    assert lab.host.ask("undo").returncode == 0
    assert lab.acts == ["do-a", "undo-a"]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_what_a_person_says_went_wrong_is_undone_wherever_he_was(lab: Lab, most: int) -> None:
    """Nobody knows which lines were typed: every undo runs, and is right for what was not done."""
    person = Person(lab.host, most, "it said 'no such jail'; $HOME")
    steps = lab.step("one", lab.makes("a"), lab.makes("b")), lab.step("two", lab.makes("c"))
    with lab.runner(*steps, typist=person) as runner, pytest.raises(RolledBack) as caught:
        runner.apply()
    assert "by hand: it said 'no such jail'; $HOME" in str(caught.value)
    assert lab.host.state("001-one") == "undone"
    assert lab.acts == [*["do-a", "do-b"][:most], "undo-b", "undo-a"]
    assert not list((lab.root / "etc").iterdir())
    assert len(person.shown) == 1


@operation()
def overwritten(path: str) -> Commands:
    yield Reversible(
        f"echo ours > {path}",
        undo=f'if [ -e "$KEEP/1" ]; then cp -p "$KEEP/1" {path}; fi',
        says="overwrite it",
        keep=(path,),
    )


def test_before_images_are_there_before_he_types(lab: Lab) -> None:
    path = lab.path("file")
    path.write_text("theirs\n")
    person = Person(lab.host, word="no")
    with lab.runner(lab.step("one", use(overwritten, path=str(path))), typist=person) as runner:
        person.meanwhile = lambda: seen.append(path.read_text())
        seen: list[str] = []
        with pytest.raises(RolledBack):
            runner.apply()
    assert seen == ["ours\n"]
    assert path.read_text() == "theirs\n"


def left(lab: Lab, *steps: Step, most: int = 1) -> None:
    person = Person(lab.host, most, None)
    with lab.runner(*steps, typist=person) as runner, pytest.raises(Waiting, match="manual entry"):
        runner.apply()


def two(lab: Lab, **more: Any) -> Step:
    return lab.step("one", lab.makes("a"), lab.makes("b"), **more)


def test_nobody_undoes_under_the_hands_of_somebody_who_left_his_terminal(lab: Lab) -> None:
    left(lab, two(lab))
    assert lab.host.ask("arm", "001-one").returncode == 0
    until(lambda: not lab.host.pids("guard", "001-one"))
    assert lab.host.state("001-one") == "applying"
    with lab.runner(two(lab)) as machine, pytest.raises(Refused, match="is being typed by hand"):
        machine.apply()
    assert lab.acts == ["do-a"]


def test_status_says_who_types_and_who_typed(lab: Lab) -> None:
    left(lab, two(lab))
    with lab.runner(two(lab)) as looking:
        data = status.data(looking.plan, looking.known())
    told = data["steps"][0]
    assert told["state"] == "applying"
    assert told["by_hand"].startswith(f"{operator()} since 20")
    assert "interrupted during manual entry; by hand: " in " ".join(status.text(data).split())


def test_he_may_come_back_and_go_on(lab: Lab) -> None:
    left(lab, two(lab))
    person = Person(lab.host, 0)
    lab.path("b").touch()
    with lab.runner(two(lab), typist=person) as runner:
        runner.apply()
    [(_, commands)] = person.shown
    made = lab.runner(two(lab))
    made.connection.take()
    assert [(c.says, c.line) for c in commands] == [
        (c.says, c.do) for c in made.compiled(0).commands
    ]
    assert lab.host.state("001-one") == "confirmed"
    assert lab.acts == ["do-a"]


@pytest.mark.parametrize("way", ["rollback", "console", "boot"])
def test_what_was_left_half_typed_is_taken_back(lab: Lab, way: str) -> None:
    left(lab, two(lab))
    if way == "rollback":
        with lab.runner(two(lab)) as runner:
            runner.rollback()
    else:
        done = lab.host.ask("undo" if way == "console" else "recover")
        assert done.returncode == 0, done.stderr
    assert lab.host.state("001-one") == "undone"
    assert lab.acts == ["do-a", "undo-b", "undo-a"]


def test_what_was_laid_down_and_never_shown_is_taken_back(lab: Lab) -> None:
    """The connection was lost while the host prepared the step."""
    left(lab, two(lab), most=0)
    (lab.host.journal / "steps/001-one/progress").unlink()
    (lab.host.journal / "steps/001-one/print.before").write_text("half")
    with lab.runner(two(lab)) as runner:
        runner.rollback()
    assert lab.host.state("001-one") == "undone"
    assert lab.acts == []


def test_no_deadline_runs_while_he_types_and_one_does_when_he_is_through(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(Exception): ...

    def die(*_: Any) -> None:
        raise Died

    def waits() -> None:
        time.sleep(2.5)
        assert lab.host.state("001-one") == "applying"

    person = Person(lab.host)
    person.meanwhile = waits
    runner = lab.runner(two(lab, confirm_within=1), typist=person)
    monkeypatch.setattr(runner, "_checked", die)
    # A slow machine reads the state after the deadline, or in the middle of the undo.
    with pytest.raises((Died, RolledBack, Stuck)):
        runner.apply()
    assert lab.host.wait("001-one", "undone", "stuck") == "undone"
    assert "no confirm came before the deadline" in lab.host.read("001-one", "reason")


def test_a_connection_that_goes_while_he_types_is_opened_again(lab: Lab) -> None:
    person = Person(lab.host)
    person.meanwhile = lab.host.cut
    with lab.runner(two(lab), typist=person) as runner:
        runner.apply()
    assert lab.host.state("001-one") == "confirmed"


def test_a_host_that_changed_is_not_shown_to_be_typed_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, changes = changed_meanwhile(lab, monkeypatch)
    person = Person(lab.host)
    runner = lab.runner(lab.step("one", changes), typist=person)
    with pytest.raises(Refused, match="the host changed since the step was planned"):
        runner.apply()
    assert (person.shown, lab.acts, path.read_text()) == ([], [], "somebody's")


def test_a_typed_step_is_asked_for_at_its_gate_too(lab: Lab) -> None:
    person = Person(lab.host)
    gated = lab.step("one", lab.makes("a"), gate=GATE)
    with (
        lab.runner(gated, typist=person) as runner,
        pytest.raises(Waiting, match="waits at its gate"),
    ):
        runner.apply()
    assert person.shown == []


def test_a_step_that_runs_by_itself_is_in_nobodys_hands(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_applied(lab, lab.step("one", lab.makes("a")), monkeypatch=monkeypatch)
    with lab.runner(lab.step("one", lab.makes("a"))) as runner:
        assert not runner.known().entries[0].hand
    name = start(lab.runner(lab.step("two", lab.makes("c", then="sleep 60"))))
    lab.host.wait(name, "applying")
    assert "is being applied right now" in lab.host.ask("undo").stderr


LINES = [Typed("make it", "mkdir x", ""), Typed("set it", "sysrc a=b", "a: ... -> b")]


@pytest.mark.parametrize(
    ("entered", "word"),
    [("\n", ""), ("  \n", ""), ("it hangs\n", "it hangs"), ("", None)],
)
def test_a_terminal_shows_the_lines_and_takes_the_answer(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    entered: str,
    word: str | None,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(entered))
    assert TerminalTypist().typed("one", LINES) == word
    told = capsys.readouterr()
    assert told.out == ""
    assert "\n# 1. make it\nmkdir x\n# expect: nothing\n" in told.err
    assert "\n# 2. set it\nsysrc a=b\n# expect: a: ... -> b\n" in told.err


def test_without_a_terminal_nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    with pytest.raises(Refused, match="no terminal"):
        manual.at_terminal()
