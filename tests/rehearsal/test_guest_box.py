"""`rehearse --on qemu` on a real FreeBSD: reached by forwarded ports, under clients, judged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from box.image import Missing, find_image, require_tools

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(7200)]

PROJECT = Path(__file__).parents[2]


def rehearse(where: Path, *words: str, order: str = "") -> subprocess.CompletedProcess[str]:
    try:
        require_tools()
        find_image()
    except Missing as missing:
        pytest.skip(f"no FreeBSD box here: {missing.what}")
    text = (PROJECT / "box" / "site.toml").read_text(encoding="utf-8")
    if order:
        text = re.sub(r"(?m)^order = .*$", f"order = [{order}]", text)
    (where / "site.toml").write_text(text, encoding="utf-8")
    box = ["rehearse", "--on", "qemu", "--site", str(where / "site.toml")]
    return subprocess.run(
        [sys.executable, "deploy.py", *box, *words],
        cwd=PROJECT,
        env={**os.environ, "XDG_STATE_HOME": str(where)},
        capture_output=True,
        text=True,
        timeout=7000,
        check=False,
    )


SHORT = '"preflight", "base", "network", "mysql"'


@pytest.mark.parametrize("order", ["", SHORT], ids=["all", "short"])
def test_all_of_it_with_a_verdict_on_each_step(tmp_path: Path, order: str) -> None:
    done = rehearse(tmp_path, "--json", order=order)
    print(done.stdout[-5000:], done.stderr)
    assert done.returncode == 0
    told = [json.loads(line) for line in done.stdout.splitlines()]
    [judged] = [each["steps"] for each in told if each["event"] == "verdicts"]
    assert {word for row in judged for key, word in row.items() if key != "step"} == {"ok"}
    noted = json.loads((tmp_path / "cellblock" / "rehearsed.json").read_text())
    assert all(each["freebsd"] for each in noted.values())
    assert len(noted) == len(judged)


def test_failures_by_chance(tmp_path: Path) -> None:
    done = rehearse(tmp_path, "--chaos", "4:1", order=SHORT)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    ends = done.stdout.partition("failure ")[2]
    assert len(re.findall(r"as before$|confirmed and verified$", ends, re.MULTILINE)) == 4


def test_a_command_that_fails(tmp_path: Path) -> None:
    done = rehearse(tmp_path, "--break", "network:3", order=SHORT)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "after the failure of network the host is as before" in done.stdout
