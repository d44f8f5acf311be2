"""A service's line in the report has no holes, and shows "answered" only where it was watched."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from rollout.probe.outage import Probed, Timeline
from rollout.report.timeline import UNANSWERED, UNWATCHED, service
from tests.unit.rollout.reported import BEGAN, results, timeline

DONE = results(["base", "network", "mysql.cutover"])


def told(given: Timeline, seconds: float = 14.0) -> dict[str, Any]:
    return service(given, BEGAN, BEGAN + seconds, DONE)


def states(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(each["state"], each["by"]) for each in found["line"]]


def test_it_reaches_from_the_beginning_to_the_end_without_holes() -> None:
    line = told(timeline("mysql", 13, gap=(10.0, 10.5), after="mysql"))["line"]
    assert line[0]["start"] == 0
    assert line[-1]["end"] == 14
    for one, other in pairwise(line):
        assert one["end"] == other["start"]
        assert (one["state"], one["by"]) != (other["state"], other["by"])


def test_a_gap_is_as_long_in_the_line_as_in_the_figures_and_names_its_step() -> None:
    found = told(timeline("mysql", 13, gap=(10.0, 10.5), after="mysql"))
    [gap] = found["gaps"]
    [out] = [each for each in found["line"] if each["state"] == UNANSWERED]
    assert (out["start"], out["end"]) == (gap["start"], gap["end"])
    assert found["outage"] == gap["seconds"] == pytest.approx(0.546, abs=0.06)
    assert found["verdict"] == "outage"
    assert gap["steps"] == ["mysql.cutover"]
    assert states(found) == [
        ("not watched", None),
        ("answered", "host"),
        ("not answered", None),
        ("answered", "mysql"),
        ("not watched", None),
    ]


def test_a_gap_between_steps_is_no_steps_gap() -> None:
    [gap] = told(timeline("web", 13, gap=(0.5, 0.8)))["gaps"]
    assert gap["steps"] == []


def test_where_no_probe_was_sent_nobody_answered() -> None:
    found = told(timeline("web", 13, blind=(5.0, 7.0)))
    assert found["verdict"] == "thin"
    [hole] = [each for each in found["line"][1:-1] if each["state"] == UNWATCHED]
    assert hole["start"] == pytest.approx(5.0, abs=0.06)
    assert hole["end"] == pytest.approx(7.0, abs=0.06)


def test_no_probes_at_all_is_not_watched() -> None:
    found = told(Timeline("web", 20.0, ()))
    assert found["verdict"] == "not watched"
    assert states(found) == [("not watched", None)]


def test_an_outage_that_never_ended_is_said_to_be_open() -> None:
    found = told(timeline("web", 13, gap=(11.0, 99.0)))
    [gap] = found["gaps"]
    assert not gap["closed"]
    assert found["outage"] == gap["seconds"] > 2.0
    assert states(found)[-2:] == [("not answered", None), ("not watched", None)]


def test_an_answer_whose_owner_nobody_asked_is_an_answer_of_nobody_known() -> None:
    probes = tuple(
        Probed(BEGAN + n / 20, BEGAN + n / 20 + 0.01, None, None, held=False) for n in range(200)
    )
    found = told(Timeline("bind 53/udp", 20.0, (probes,)), 10.0)
    assert states(found) == [("answered", None), ("not watched", None)]
    assert found["verdict"] == "no outage"
    assert found["owners"] == []
