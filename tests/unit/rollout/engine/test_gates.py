"""Gates: answers from a file, from --yes or from the terminal, and what the host records."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.engine import gates
from rollout.errors import Refused, Waiting
from rollout.host.journal import operator
from rollout.plan.step import Gate, check
from rollout.report import status
from tests.unit.rollout.lab import GATE, Lab
from tests.unit.rollout.small_host import PROJECT, SmallHost, small_host

SAMPLE = plan.make(site.read(PROJECT / "site.example.toml"))
GOOD = """
[bind.retire]
answer = "yes"
by = "Anna Muster"
at = 2026-11-23T22:00:00Z

["web.retire"]
answer = "no"
by = "Bert"
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHost]:
    yield from small_host(tmp_path / "h", "dash", monkeypatch)


def written(where: Path, text: str) -> Path:
    path = where / "answers.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_yes_of_the_file_names_who_said_it_and_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = gates.read(written(tmp_path, GOOD), SAMPLE)
    said = answers("bind.retire", GATE)
    assert said == (
        f"Anna Muster, given 2026-11-23T22:00:00+00:00, by answers.toml of {operator()}"
    )
    told = capsys.readouterr().err
    assert "bind.retire: Is it well? Look at:\n  - the log\n" in told


def test_a_no_of_the_file_stops_the_run_and_says_whose_it_is(tmp_path: Path) -> None:
    answers = gates.read(written(tmp_path, GOOD), SAMPLE)
    with pytest.raises(Waiting, match=r"web\.retire waits at its gate: Is it well\?") as caught:
        answers("web.retire", GATE)
    assert "Bert says no in " in caught.value.evidence
    assert "the log" in caught.value.evidence


def test_what_the_file_does_not_say_is_asked_of_somebody_else(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert gates.read(path, SAMPLE)("mail.retire", GATE) == ""
    assert gates.read(path, SAMPLE, lambda *_: "me")("mail.retire", GATE) == "me"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[bind.retire]\nanswer = yes\n", "not TOML"),
        ("[bind.retire]\nanswer = 'yes'\n", "bind.retire.by: missing, and needed"),
        ("[bind.retire]\nby = 'A'\n", "bind.retire.answer: missing, and needed"),
        ("[bind.retire]\nanswer = 'perhaps'\nby = 'A'\n", "bind.retire.answer = 'perhaps'"),
        ("[bind.retire]\nanswer = true\nby = 'A'\n", "bind.retire.answer = true"),
        ("[bind.retire]\nanswer = 'yes'\nby = ''\n", "bind.retire.by = ''"),
        ("[bind.retire]\nanswer = 'yes'\nby = \"A\\nB\"\n", "bind.retire.by = 'A\\nB'"),
        ("[bind.retire]\nanswer = 'yes'\nby = 'A'\nwhy = ''\n", "bind.retire.why = '': unknown"),
        ("[bind.retire]\nanswer = 'yes'\nby = 'A'\nat = 'now'\n", "bind.retire.at = 'now'"),
        (
            "[bind.retir]\nanswer = 'yes'\nby = 'A'\n",
            "bind.retir: is no step; gates: base, bind.cut",
        ),
        ("[network]\nanswer = 'yes'\nby = 'A'\n", "network: has no gate; gates: "),
        ("bind.retire = 'yes'\n", "bind: is no step"),
        ("'bind.retire' = 'yes'\n", "bind.retire = 'yes': expected a table"),
        ("yes = true\n", "yes: is no step"),
        ("[bind]\n", "bind: is no step"),
        ("[[bind.retire]]\nanswer = 'yes'\n", "bind"),
        (f"[{'.'.join('a' * 3000)}]\nanswer = 'yes'\n", "a: is no step"),
        (f"x = {'9' * 5000}\n", "a number has too many digits"),
        (f"x = {'[' * 1500}\n", "brackets are nested too deeply"),
    ],
)
def test_a_bad_file_is_one_message(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(Refused) as caught:
        gates.read(written(tmp_path, text), SAMPLE)
    assert what in str(caught.value)
    assert "answers.toml: " in str(caught.value)
    form = 'expected tables like [bind.retire] with answer = "yes"'
    assert ("correct that line" if "Invalid" in str(caught.value) else form) in str(caught.value)


def test_a_file_that_is_not_there_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"none\.toml: cannot be read: No such file"):
        gates.read(tmp_path / "none.toml", SAMPLE)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match="not TOML"):
        gates.read(tmp_path / "bytes.toml", SAMPLE)


def test_yes_and_answers_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--yes and --answers were given together"):
        gates.chosen(SAMPLE, True, written(tmp_path, GOOD))


def test_without_either_a_person_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gates.chosen(SAMPLE, False, None) is gates.person
    assert gates.chosen(SAMPLE, True, None) is gates.always
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert gates.person("one", GATE) == ""


def test_yes_is_recorded_in_the_operators_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert gates.always("one", GATE) == f"{operator()}, by --yes"
    assert "the log" in capsys.readouterr().err, "the evidence is not shown"


def test_the_host_keeps_who_said_yes_to_what_and_status_tells_it(lab: Lab) -> None:
    """The findings of the gate's checks are kept with it: the answer was given to them."""
    gate = replace(GATE, unless=(check("file::is_there", path="/nowhere"),))
    step = lab.step("one", lab.makes("a"), gate=gate)
    with lab.runner(step, yes=True) as runner:
        runner.apply()
        [told] = status.data(runner.plan, runner.known())["steps"]
        shown = status.text(status.data(runner.plan, runner.known()))
    assert lab.host.read("001-one", "gate") == "Is it well?\nthe log\n/nowhere is missing\n"
    assert told["answer"].startswith("yes, me, at 20")
    assert told["answer"] in " ".join(shown.split())
    said = "one: gate: Is it well?\n    yes, me"
    assert any(note.startswith(said) for note in lab.listener.notes)


def test_a_step_without_a_gate_keeps_no_answer(lab: Lab) -> None:
    with lab.runner(lab.step("one", lab.makes("a"))) as runner:
        runner.apply()
        [told] = status.data(runner.plan, runner.known())["steps"]
    assert told["answer"] is None
    assert not lab.host.read("001-one", "said")


def test_an_answer_is_one_line_whatever_it_says(lab: Lab) -> None:
    """A second line in the journal would be parsed as something else."""
    kept = gates.record(Gate("One?\nTwo?", ("a\nb",)), "me")
    assert kept["said"].count("\n") == 1
