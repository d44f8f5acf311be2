"""Whole rollouts on the stand-in, through the command line, as a newcomer runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout import plan, site
from tests.rehearsal.sites import written

PROJECT = Path(__file__).parents[2]
SAMPLE = PROJECT / "site.example.toml"


def rehearse(*options: str, state: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "deploy.py", "rehearse", *options],
        cwd=PROJECT,
        env={**os.environ, **({"XDG_STATE_HOME": str(state)} if state else {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@dataclass(frozen=True)
class Rehearsed:
    steps: list[str]
    done: subprocess.CompletedProcess[str]
    report: Path


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    """A rehearsal of MySQL, the service that cannot overlap; `make rehearse` runs all services."""
    where = tmp_path_factory.mktemp("rehearsed")
    file = written(where, "mysql")
    done = rehearse("--site", str(file), "--json", state=where / "state")
    assert done.returncode == 0, done.stdout + done.stderr
    [folder] = (where / "state" / "cellblock" / "dcserver").iterdir()
    assert f"report: {folder}/report.html" in done.stderr
    steps = [step.name for step in plan.make(site.read(file)).steps if step.operations]
    return Rehearsed(steps, done, folder)


def test_forward_back_and_forward_again(rehearsed: Rehearsed) -> None:
    done, steps = rehearsed.done, rehearsed.steps
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert (told[-1]["event"], told[-1]["exit_code"]) == ("results", 0)
    acts = {act["name"]: act["results"] for act in told[-1]["acts"]}
    assert list(acts) == ["apply", "rollback", "apply again"]
    assert [act["part"] for act in told[-1]["acts"]] == [f"part {n} of 5" for n in (1, 2, 3)]
    said = [each["text"] for each in told if each["event"] == "note"]
    assert "--- part 4 of 5: running all steps a second time" in said
    report = json.loads((rehearsed.report / "report.json").read_text(encoding="utf-8"))
    assert [act["part"] for act in report["acts"]] == [f"part {n} of 5" for n in (1, 2, 3)]
    begun = [each["step"] for each in told if each["event"] == "begun"]
    ended = [each["step"] for each in told if each["event"] == "result"]
    assert begun == steps * 2
    assert ended == [*steps, *steps[::-1], *steps]
    for name, expected in (("apply", steps), ("rollback", steps[::-1]), ("apply again", steps)):
        assert [result["step"] for result in acts[name]] == expected
        for result in acts[name]:
            assert result["checks"]["passed"] == result["checks"]["asked"]
            moved = {"mysql"} if result["step"] == "mysql.cutover" else set()
            noticed = {s for s, w in result["outage"].items() if w["verdict"] == "outage"}
            assert noticed <= moved, f"{result['step']} cut off {noticed}"
    # Channels do not depend on the number of commands: the first step opens the connection that all
    # use; each confirm opens one of its own.
    assert len({result["commands"] for result in acts["apply"]}) > 2
    assert {result["channels"] for result in acts["apply"]} == {1}
    # Nor do round trips depend on the number of checks, which grows: they run side by side.
    assert max(result["round_trips"] for result in acts["apply"]) <= 10


def test_the_page_shows_the_gap_of_mysql_where_it_was_and_no_other(rehearsed: Rehearsed) -> None:
    data = json.loads((rehearsed.report / "report.json").read_text(encoding="utf-8"))
    page = (rehearsed.report / "report.html").read_text(encoding="utf-8")
    assert data["end"]["word"] == "done"
    drawn = [
        (float(start), float(end))
        for start, end in re.findall(r'class="outage" data-start="(\S+)" data-end="(\S+)"', page)
    ]
    expected = []
    for act in data["acts"]:
        cutover = next(each for each in act["steps"] if each["step"] == "mysql.cutover")
        for service in act["services"]:
            out = [each for each in service["line"] if each["state"] == "not answered"]
            gaps = [(gap["start"], gap["end"]) for gap in service["gaps"]]
            assert [(each["start"], each["end"]) for each in out] == gaps
            assert not gaps or service["service"] == "mysql", act["name"]
            for gap in service["gaps"]:
                assert gap["steps"] == ["mysql.cutover"]
                assert cutover["began"] < gap["start"] < gap["end"] < cutover["ended"]
            expected += gaps * 2  # in the timeline, and once more enlarged
    # The stand-in's daemons are fast: on a busy machine a gap may fall between two probes.
    assert expected, "no act shows the gap of MySQL"
    assert sorted(drawn) == sorted(expected)


def test_the_page_shows_the_server_as_it_was_and_as_it_is(rehearsed: Rehearsed) -> None:
    data = json.loads((rehearsed.report / "report.json").read_text(encoding="utf-8"))
    forth, back, again = data["acts"]
    for act, when, moved in (
        (forth, "before", False),
        (forth, "after", True),
        (back, "before", True),
        (back, "after", False),
        (again, "after", True),
    ):
        server = act[when]
        assert server["missing"] == ""
        leads = {port["service"]: port["leads_to"] for port in server["ports"]}
        seen = {port["service"]: port["seen"] for port in server["ports"]}
        assert leads["mysql"] == seen["mysql"] == ("mysql" if moved else "host")
        assert leads["web"] == seen["web"] == "host"
        assert [jail["name"] for jail in server["jails"]] == (["mysql"] if moved else [])
        assert server["confirmed"] == (rehearsed.steps if moved else [])
    assert back["compared"]["differences"] == []
    assert back["compared"]["facts"] > 100
    for act in (forth, again):
        assert all(each["passed"] == each["asked"] for each in act["verified"])
    for act in data["acts"]:
        for step in act["steps"]:
            assert step["log"], f"{act['name']}: {step['step']} has no log"
    cutover = next(each for each in back["steps"] if each["step"] == "mysql.cutover")
    assert not [line for line in cutover["log"] if line.endswith(": applying")]


@pytest.mark.parametrize("broken", ["network:3", "mysql.cutover:18"])
def test_a_command_that_fails_leaves_the_host_as_before_the_step(
    tmp_path: Path, broken: str
) -> None:
    done = rehearse("--site", str(written(tmp_path, "mysql")), "--break", broken)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{broken.partition(':')[0]}: compared with before: identical" in done.stdout
