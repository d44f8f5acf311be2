"""docs/architecture.md describes the tree as it is: floors, files, and the way of one value."""

from __future__ import annotations

import re
from pathlib import Path

from rollout import plan, site
from rollout.host import bundle
from tests.unit.test_imports import FLOORS

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
WALK = PAGE.partition("## One value")[2].partition("\n## ")[0]
OURS = ("box", "docs", "operations", "rollout", "runbooks", "standin", "steps", "survey", "tests")
PATH = re.compile(rf"`((?:{'|'.join(OURS)})/[^`\s]*|deploy\.py|[\w.]+\.toml)`")
SAMPLE = site.read(PROJECT / "site.example.toml")


def test_every_file_and_folder_that_it_names_is_there() -> None:
    named = PATH.findall(PAGE)
    assert len(named) > 30
    assert [path for path in named if not (PROJECT / path).exists()] == []


def test_its_table_has_the_floors_that_imports_are_held_to() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", PAGE, re.MULTILINE)
    floors: dict[int, set[str]] = {}
    for number, places in rows:
        for place in re.findall(r"`rollout/(\w+)(?:/|\.py)`", places):
            floors.setdefault(int(number), set()).add(place)
    assert floors == {n: set(names) for n, names in enumerate(FLOORS["rollout"], 1)}


HANDS_ON = {
    "site.example.toml": 'socket = "/var/run/mysql/mysql.sock"',
    "rollout/site/reading.py": "Site.model_validate(data)",
    "rollout/site/model.py": "socket: HostPath | None",
    "rollout/plan/plan.py": "steps(site",
    "steps/handover.py": "link=(socket, shown)",
    "operations/daemon.py": "files.link._inner(*link",
    "operations/files.py": "ln -sfh {to} {at}",
    "rollout/engine/runner.py": "bundle.compile_step(",
    "rollout/host/bundle.py": "used.commands()",
    "rollout/runbook/pages.py": "compile_step(",
    "runbooks/07-mysql.md": "ln -sfh /usr/jails/.shown/mysql/var/run/mysql/mysql.sock",
    "rollout/host/session.py": "def output(",
    "rollout/host/host.sh": 'sh -eu "$journal/steps/$1/$2/$3.sh"',
    "tests/checks/test_service.py": "socket_is_the_jails(",
}
"""What each file of the walk does with the value, or with the table, step or command it is in."""


def test_each_file_of_the_walk_hands_the_value_on() -> None:
    assert set(PATH.findall(WALK)) == set(HANDS_ON)
    for path, words in HANDS_ON.items():
        assert words in (PROJECT / path).read_text(encoding="utf-8"), f"{path}: no {words!r}"


def test_the_value_ends_in_the_line_that_the_walk_prints() -> None:
    line = next(line.strip() for line in WALK.splitlines() if line.startswith("       ln "))
    directory, number = re.findall(r"steps/(\d{3}-[\w.]+)/do/(\d{3})\.sh", WALK)[0]
    made = plan.make(SAMPLE)
    position = made.position("mysql.cutover")
    step = made.steps[position]
    compiled = bundle.compile_step(position + 1, step, None)
    assert compiled.directory == directory
    assert line in compiled.commands[int(number) - 1].do
    assert line.endswith(str(SAMPLE.services["mysql"].socket))
