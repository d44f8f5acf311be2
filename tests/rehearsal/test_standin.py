"""Whole rollouts on the stand-in, through the command line, as a newcomer runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rollout import plan, site
from tests.rehearsal.sites import written

PROJECT = Path(__file__).parents[2]
SAMPLE = PROJECT / "site.example.toml"


def rehearse(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "deploy.py", "rehearse", *options],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_forward_back_and_forward_again(tmp_path: Path) -> None:
    """Of the sample's services the one that cannot overlap; make rehearse has all."""
    file = written(tmp_path, "mysql")
    done = rehearse("--site", str(file), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert (told[-1]["event"], told[-1]["exit_code"]) == ("results", 0)
    acts = {act["name"]: act["results"] for act in told[-1]["acts"]}
    assert list(acts) == ["apply", "rollback", "apply again"]
    steps = [step.name for step in plan.make(site.read(file)).steps if step.operations]
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
    # use; each confirms over one of its own.
    assert len({result["commands"] for result in acts["apply"]}) > 3
    assert {result["channels"] for result in acts["apply"]} == {1}


@pytest.mark.parametrize("broken", ["network:3", "mysql.cutover:18"])
def test_a_command_that_fails_leaves_the_host_as_before_the_step(
    tmp_path: Path, broken: str
) -> None:
    done = rehearse("--site", str(written(tmp_path, "mysql")), "--break", broken)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"after the failure of {broken.partition(':')[0]} the host is as before" in done.stdout
