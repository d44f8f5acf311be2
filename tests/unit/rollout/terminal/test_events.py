"""A run as events: one JSON object per line, the last one with the results."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollout.errors import RolledBack
from rollout.terminal.events import Events
from tests.unit.rollout import runs


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_event_is_one_line_and_the_last_has_the_results(lines: Any) -> None:
    told = Events()
    runs.replay(told)
    told.close(None)
    found = lines()
    assert [each["event"] for each in found] == [
        *("act", "gate", "begun", "line", "line", "line", "line", "line", "checking", "result"),
        *("note", "results"),
    ]
    assert all(each["time"].endswith("Z") for each in found)
    assert found[1]["look_at"] == ["the log", "the paper"]
    assert found[2]["commands"] == 2
    assert found[4] == found[4] | {
        "step": "mysql.cutover",
        "text": "001 stop [the] host's mysql-server",
    }
    assert found[8]["seconds_left"] == 118
    assert found[9]["outcome"] == "confirmed"
    assert found[-1]["acts"] == [
        {"name": "apply", "part": "", "results": runs.RESULTS, "summary": runs.SUMMARY}
    ]
    assert (found[-1]["exit_code"], found[-1]["error"]) == (0, None)


def test_the_results_of_each_act_are_its_own(lines: Any) -> None:
    told = Events()
    told.act("apply", "part 1 of 5")
    told.ended(runs.RESULTS, runs.SUMMARY)
    told.act("rollback")
    told.ended([], "")
    told.close(None)
    found = lines()
    assert found[-1]["acts"] == [
        {
            "name": "apply",
            "part": "part 1 of 5",
            "results": runs.RESULTS,
            "summary": runs.SUMMARY,
        },
        {"name": "rollback", "part": "", "results": [], "summary": ""},
    ]
    assert found[0]["part"] == "part 1 of 5"


def test_an_error_is_in_the_last_event_with_its_exit_code(lines: Any) -> None:
    told = Events()
    told.act("apply")
    told.close(RolledBack("it was undone", evidence="the log", todo="read it"))
    last = lines()[-1]
    assert last["exit_code"] == 2
    assert last["error"] == {"what": "it was undone", "evidence": "the log", "todo": "read it"}
    assert last["acts"] == [{"name": "apply", "part": "", "results": [], "summary": ""}]


def test_an_undo_and_what_was_watched_are_told(lines: Any, tmp_path: Any) -> None:
    told = Events()
    told.watching(tmp_path / "probes.jsonl")
    told.undoing("web.standby", "rollback")
    told.line("004 undo: it")
    found = lines()
    assert found[0]["probes"] == str(tmp_path / "probes.jsonl")
    assert (found[1]["step"], found[1]["reason"]) == ("web.standby", "rollback")
    assert found[2]["step"] == "web.standby"
