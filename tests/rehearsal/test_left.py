"""^C during a rehearsal at a terminal: the screen is clean, and no process is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rehearsal.sites import written
from tests.unit.rollout.on_terminal import Screen


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [r"now +running \d+ commands", r"now +running \d+ checks", r"now +undoing"],
    ids=["commands run", "checks are asked", "it is undone"],
)
def test_ctrl_c_leaves_a_clean_screen_and_nothing_behind(tmp_path: Path, moment: str) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    argv = (sys.executable, "deploy.py", "rehearse", "--site", str(written(tmp_path)))
    screen = Screen(*argv, environment={"TMPDIR": str(folder)})
    try:
        screen.until(moment, limit=300)
        screen.press("\x03")
        assert screen.end(limit=60) == 130
        assert screen.sane
    finally:
        screen.close()
    assert "interrupted: the stand-in was deleted; no server of yours was touched" in screen.text
    assert "Traceback" not in screen.text

    assert list(folder.iterdir()) == []
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in left
