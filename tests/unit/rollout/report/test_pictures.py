"""The README's pictures are those that the project draws today, of the sample as it is today."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rollout.report import pictures
from tests.unit.rollout.reported import PLAN, SAMPLE

PROJECT = Path(__file__).parents[4]
FOLDER = PROJECT / "docs" / "pictures"
REPORT = json.loads((FOLDER / "report.json").read_text(encoding="utf-8"))
NAMES = ("timeline.svg", "server.svg")


@pytest.mark.parametrize("name", ["report.json", *NAMES])
def test_they_are_what_make_pictures_draws(name: str, tmp_path: Path) -> None:
    pictures.draw(REPORT, tmp_path)
    drawn = (tmp_path / name).read_text(encoding="utf-8")
    assert drawn == (FOLDER / name).read_text(encoding="utf-8"), "run make pictures"


def test_their_rehearsal_is_of_the_sample_and_its_steps() -> None:
    [act] = REPORT["acts"]
    assert (REPORT["site"], REPORT["wan_address"]) == (SAMPLE.name, str(SAMPLE.host.wan_address))
    ran = [(step["step"], step["number"]) for step in act["steps"]]
    planned = [(step.name, n) for n, step in enumerate(PLAN.steps, 1) if step.operations]
    assert ran == planned, "rehearse, then make pictures REPORT=.../report.json"
    assert [jail["name"] for jail in act["after"]["jails"]] == list(SAMPLE.jails)
    assert act["before"]["jails"] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_is_an_image_by_itself_on_a_ground_of_its_own(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)  # noqa: S314 # drawn by the project
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    assert root.find(f"{space}title") is not None
    ground = root.find(f"{space}rect")
    assert ground is not None
    assert ground.get("class") == "ground"
    assert float(ground.get("width", "0")) >= float(root.get("width", "0")) - 1
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"href|<script|@import|url\((?!#hatch)", text)
    assert re.findall(r"https?:[^\"]*", text) == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_shows_them_with_words_for_those_who_do_not_see_them(name: str) -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    [words] = re.findall(rf"!\[([^\]]*)\]\(docs/pictures/{re.escape(name)}\)", text)
    assert len(words.split()) > 10


def test_hostile_text_stays_text() -> None:
    [act] = REPORT["acts"]
    hostile = '</title><script>alert(1)</script>"'
    extra = {**act["steps"][0], "step": hostile, "outcome": hostile}
    after = {**act["after"], "daemons": [hostile]}
    changed = {**act, "name": hostile, "steps": [*act["steps"], extra], "after": after}
    report = {**REPORT, "site": hostile, "acts": [changed]}
    for text in (pictures.timeline(report), pictures.server(report)):
        assert "<script" not in text
        ElementTree.fromstring(text)  # noqa: S314 # drawn by the project
