"""A survey answers in the place of a host, and says so when it does not have an answer."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path

import pytest

from rollout.errors import Refused
from rollout.host import bundle, survey
from rollout.host.replay import Recorder, Replay
from rollout.host.session import testinfra_host as as_testinfra
from rollout.host.survey import Answer, Recording, Unanswered
from tests.unit.rollout.host.test_session import Local


def recorded(*commands: str) -> Recording:
    with Recorder(Local(("sh",))) as session:
        for each in commands:
            session.run(each)
    return Recording(host="root@h", release="FreeBSD 14.1", made="now", answers=session.answers)


def test_a_survey_answers_as_the_host_did() -> None:
    lines = ("echo out; echo err >&2; exit 3", "printf '\\351 no end of line'", "printf '\\n'")
    replay = Replay(recorded(*lines))
    first, second, third = replay.run_all(lines)
    assert (first.code, first.out, first.err) == (3, "out\n", "err\n")
    assert second.out == "\udce9 no end of line"
    assert third.out == "\n"
    assert bundle.rows(replay.known[lines[1]].out) == ["\udce9 no end of line"]


def test_it_survives_the_file_byte_for_byte(tmp_path: Path) -> None:
    there = recorded("printf '\\351\\0\\n\\n'", "exit 1")
    (tmp_path / survey.FILE).write_text(there.text(), encoding="utf-8")
    assert survey.read(tmp_path) == there
    assert survey.read(tmp_path / survey.FILE) == there


def test_of_a_command_that_ran_twice_the_last_answer_is_kept(tmp_path: Path) -> None:
    counted = f"echo x >> {tmp_path}/n; wc -l < {tmp_path}/n"
    assert recorded(counted, counted).answers[counted].out.strip() == "2"


def test_what_it_does_not_have_is_told_and_takes_no_other_answer_with_it() -> None:
    host = as_testinfra(Replay(recorded("echo here")))
    said: list[str] = []

    def ask(command: str) -> None:
        said.append(host.run(command).stdout)

    first, second = host.backend.together.run(
        [partial(ask, "echo here"), partial(ask, "echo elsewhere")]
    )
    assert (first.error, said) == (None, ["here\n"])
    assert isinstance(second.error, Unanswered)
    assert "the survey of root@h does not have what this prints: echo elsewhere" in str(
        second.error
    )
    with pytest.raises(Unanswered, match="echo alone"):
        host.run("echo alone")
    assert set(host.backend.together.answers) == {"echo here"}


def test_of_facts_that_are_asked_together_those_that_are_missing_are_named() -> None:
    replay = Replay(recorded("echo a"))
    with pytest.raises(Unanswered, match="prints: echo b") as caught:
        replay.output(bundle.facts_script(("echo a", "echo b")))
    assert "echo a" not in str(caught.value)


def test_no_connection_leads_to_a_survey() -> None:
    with pytest.raises(Refused, match="no host"):
        Replay(recorded()).target.shell()


def test_the_schema_is_as_the_file_is() -> None:
    assert json.loads(survey.SCHEMA.read_text()) == survey.schema(), "see docs/architecture.md"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[]", "expected version 1 of a survey; found None"),
        ('{"version": 2}', "expected version 1 of a survey; found 2"),
        ('{"version": 1, "host": 3}', r"host: Input should be a valid string"),
        ('{"version": 1, "answers": {"x": {"code": 0, "stdout": ""}}}', "answers.x.stdout: Extra"),
    ],
)
def test_what_is_no_survey_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / survey.FILE).write_text(text)
    with pytest.raises(Refused) as caught:
        survey.read(tmp_path)
    assert told in str(caught.value)


def test_a_folder_without_a_survey_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no such survey"):
        survey.read(tmp_path / "nowhere")


def test_answers_have_no_prefix_of_ours() -> None:
    with Recorder(Local(("sh",))) as session:
        as_testinfra(session).run("echo %s", "a b")
    assert session.answers["echo 'a b'"] == Answer(code=0, out="a b\n")


def test_a_shell_of_a_survey_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it started something"))
    replay = Replay(Recording(host="h", release="r", made="m", answers={}))
    replay.close()
    assert replay.alive
