"""The file of answers, as it is written for a person to fill in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollout.engine import answers, gates
from rollout.errors import Refused
from rollout.host.journal import operator
from rollout.plan.step import Gate
from tests.unit.rollout.reported import PLAN

HOSTILE = 'a look\x1b[2J\nbind.retire = { answer = "no", by = "evil" }\r[x]\x7f'
ASKED = (
    ("bind.retire", Gate("Do names resolve?", ("a lookup from outside", HOSTILE))),
    ("web.retire", Gate("Do pages look right?", ("your pages",))),
)


def uncommented(path: Path, step: str) -> None:
    """As a person does it: the # before one line goes."""
    text = path.read_text()
    assert text.count(f"\n#{step} = ") == 1
    path.write_text(text.replace(f"\n#{step} = ", f"\n{step} = "))


def test_each_gate_has_its_question_and_one_line_to_uncomment(tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    assert answers.write(path, ASKED) == ["bind.retire", "web.retire"]
    text = path.read_text()
    assert "\n# bind.retire: Do names resolve?\n#   - a lookup from outside\n" in text
    assert gates.read(path, PLAN)("bind.retire", ASKED[0][1]) == "", "nothing is answered yet"
    uncommented(path, "bind.retire")
    said = gates.read(path, PLAN)("bind.retire", ASKED[0][1])
    assert said == f"{operator()}, by answers.toml of {operator()}"
    assert gates.read(path, PLAN)("web.retire", ASKED[1][1]) == ""


def test_what_a_host_says_of_a_gate_answers_nothing(tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    answers.write(path, ASKED)
    assert gates.given(path) == {}
    lines = path.read_text().split("\n")
    assert all(each.startswith("#") or not each for each in lines)
    assert "\x1b" not in path.read_text()


def test_answers_are_kept_when_it_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_text(
        "[web.retire]\nanswer = 'no'\nby = 'Bert \"B\" \\ M'\nat = 2026-11-23T22:00:00Z\n"
        "[mail.retire]\nanswer = 'yes'\nby = 'Anna'\n"
    )
    assert answers.write(path, ASKED) == ["bind.retire"]
    given = gates.given(path)
    assert given.keys() == {"web.retire", "mail.retire"}, "one of a gate that is passed, too"
    web = given["web.retire"]
    assert (web.answer, web.by) == ("no", 'Bert "B" \\ M')
    assert web.at == datetime(2026, 11, 23, 22, tzinfo=UTC)
    before = path.read_text()
    answers.write(path, ASKED)
    assert path.read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["answers.toml"]


@pytest.mark.parametrize("text", ["bind.retire = yes\n", "[bind.retire]\nanswer = 'yes'\n"])
def test_a_file_that_is_no_answers_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.toml"
    path.write_text(text)
    with pytest.raises(Refused, match=r"answers\.toml: "):
        answers.write(path, ASKED)
    assert path.read_text() == text


def test_a_place_where_nothing_can_be_written_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the answers cannot be written there: No such file"):
        answers.write(tmp_path / "none" / "answers.toml", ASKED)


def test_without_gates_it_says_so(tmp_path: Path) -> None:
    assert answers.write(tmp_path / "a.toml", ()) == []
    assert "# No gate needs an answer.\n" in (tmp_path / "a.toml").read_text()
