"""`rehearse --on vagrant` on a real FreeBSD: a box of the Vagrantfile, under clients, judged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(7200)]

PROJECT = Path(__file__).parents[2]
SHORT = '"preflight", "base", "network", "mysql"'


@pytest.fixture(autouse=True)
def box() -> str:
    """The box's name, of one that is at hand: nothing is fetched for a test."""
    name = os.environ.get("CELLBLOCK_VAGRANT_BOX", "")
    if shutil.which("vagrant") is None:
        pytest.skip("no vagrant on this machine")
    if not name:
        pytest.skip("CELLBLOCK_VAGRANT_BOX names no box (docs/box.md says how one is made)")
    told = subprocess.run(["vagrant", "box", "list"], capture_output=True, text=True, check=True)
    if not re.search(rf"(?m)^{re.escape(name)} ", told.stdout):
        pytest.skip(f"vagrant has no box {name}")
    return name


def test_a_short_order_with_a_verdict_on_each_step(tmp_path: Path) -> None:
    text = (PROJECT / "box" / "site.toml").read_text(encoding="utf-8")
    site = tmp_path / "site.toml"
    site.write_text(re.sub(r"(?m)^order = .*$", f"order = [{SHORT}]", text), encoding="utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "deploy.py", "rehearse", "--on", "vagrant"),
            *("--site", str(site), "--json"),
        ],
        cwd=PROJECT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=7000,
        check=False,
    )
    print(done.stdout[-5000:], done.stderr)
    assert done.returncode == 0
    told = [json.loads(line) for line in done.stdout.splitlines()]
    [judged] = [each["steps"] for each in told if each["event"] == "verdicts"]
    assert {word for row in judged for key, word in row.items() if key != "step"} == {"ok"}
    noted = json.loads((tmp_path / "cellblock" / "rehearsed.json").read_text())
    assert all(each["freebsd"] for each in noted.values())
    assert len(noted) == len(judged)
    assert not list(scratch.iterdir()), "something was left behind"
