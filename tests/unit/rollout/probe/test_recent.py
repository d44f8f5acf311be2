"""The latest answers of the services, read from a file that another process is writing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollout.probe.recent import SPAN, Now, Recent

AT = 1_700_000_000.0
Write = Callable[..., None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "probes.jsonl"


def began(service: str = "web") -> str:
    return json.dumps({"t": AT - SPAN, "m": 0, "service": service, "rate": 1.0}) + "\n"


def probe(ago: float, service: str = "web", **more: Any) -> str:
    told = {"ms": 1.0, "who": None, "error": None, "held": False, "ok": True}
    return json.dumps({"t": AT - ago, "m": 0, "service": service, **told, **more}) + "\n"


def now(file: Path, count: int = 30) -> dict[str, Now]:
    recent = Recent(file)
    recent.read()
    return {each.service: each for each in recent.now(AT, count)}


def test_a_file_that_is_not_there_yet_says_nothing(file: Path) -> None:
    assert now(file) == {}


def test_each_stretch_is_marked_by_who_answered_in_it(file: Path) -> None:
    text = began()
    text += probe(29.5, who="host") + probe(28.5) + probe(27.5, error="refused")
    text += probe(26.5, who="web") + probe(25.5)
    file.write_text(text)
    found = now(file)["web"]
    assert found.marks[:6] == ("host", "host", "silent", "jail", "jail", "unasked")
    assert found.who == "web"


def test_an_answer_whose_owner_was_never_told_is_nobodys(file: Path) -> None:
    file.write_text(began() + probe(29.5))
    assert now(file)["web"].marks[0] == "unknown"


def test_one_failure_in_a_stretch_is_seen(file: Path) -> None:
    file.write_text(began() + probe(5.9) + probe(5.5, error="x") + probe(5.1))
    assert now(file)["web"].marks[24] == "silent"


def test_a_gap_that_is_not_over_goes_before_a_longer_one_that_is(file: Path) -> None:
    text = began() + probe(20) + probe(19, error="x") + probe(12)
    file.write_text(text)
    over = now(file)["web"].gap
    assert over is not None
    assert over.closed
    assert 7.9 < over.seconds < 8.1
    file.write_text(text + probe(2) + probe(1, error="x"))
    open_ = now(file)["web"].gap
    assert open_ is not None
    assert not open_.closed


def test_a_service_that_always_answered_has_no_gap(file: Path) -> None:
    file.write_text(began() + probe(3) + probe(2))
    assert now(file)["web"].gap is None


def test_what_is_older_is_forgotten(file: Path) -> None:
    file.write_text(began() + probe(SPAN + 5, error="x") + probe(SPAN + 4) + probe(1))
    found = now(file)["web"]
    assert found.gap is None
    assert set(found.marks) == {"unasked", "unknown"}


def test_a_line_that_is_half_written_is_read_when_it_is_whole(file: Path) -> None:
    line = probe(1, error="x")
    file.write_text(began() + probe(2) + line[:20])
    recent = Recent(file)
    recent.read()
    assert recent.now(AT, 30)[0].gap is None
    with file.open("a") as more:
        more.write(line[20:])
    recent.read()
    recent.read()
    assert recent.now(AT, 30)[0].gap is not None


def test_a_line_that_a_killed_prober_left_is_passed_over(file: Path) -> None:
    file.write_text(began() + '{"t": 1,\n' + began("dns") + probe(1, "dns"))
    assert list(now(file)) == ["web", "dns"]
