"""`rehearse --on vagrant` on a real FreeBSD: a box of the Vagrantfile, under clients, judged."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.rehearsal.boxed import SHORT, must_be_ok, rehearse

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(7200)]


@pytest.fixture(autouse=True)
def box() -> str:
    """The name of a box that is installed: tests download nothing."""
    name = os.environ.get("CELLBLOCK_VAGRANT_BOX", "")
    if shutil.which("vagrant") is None:
        pytest.skip("no vagrant on this machine")
    if not name:
        pytest.skip("CELLBLOCK_VAGRANT_BOX names no box (docs/box.md says how one is made)")
    told = subprocess.run(["vagrant", "box", "list"], capture_output=True, text=True, check=True)
    if not re.search(rf"(?m)^{re.escape(name)} ", told.stdout):
        pytest.skip(f"vagrant has no box {name}")
    return name


@pytest.mark.parametrize("order", ["", SHORT], ids=["all", "short"])
def test_all_of_it_with_a_verdict_on_each_step(tmp_path: Path, order: str) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = rehearse(tmp_path, "vagrant", "--json", order=order, TMPDIR=str(scratch))
    must_be_ok(done, tmp_path)
    assert not list(scratch.iterdir()), "something was left behind"
