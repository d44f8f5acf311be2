"""`rehearse --on qemu` on a real FreeBSD: reached by forwarded ports, under clients, judged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from box.qemu.image import TOOLS, find_image
from box.requirements import Missing, require_tools
from tests.rehearsal.boxed import SHORT, must_be_ok, rehearse

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(7200)]


@pytest.fixture(autouse=True)
def image() -> None:
    try:
        require_tools(TOOLS)
        find_image()
    except Missing as missing:
        pytest.skip(f"no FreeBSD box here: {missing.what}")


@pytest.mark.parametrize("order", ["", SHORT], ids=["all", "short"])
def test_all_of_it_with_a_verdict_on_each_step(tmp_path: Path, order: str) -> None:
    must_be_ok(rehearse(tmp_path, "qemu", "--json", order=order), tmp_path)


def test_failures_by_chance(tmp_path: Path) -> None:
    done = rehearse(tmp_path, "qemu", "--chaos", "4:1", order=SHORT)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    ends = done.stdout.partition("failure ")[2]
    assert len(re.findall(r"as before$|confirmed and verified$", ends, re.MULTILINE)) == 4


def test_a_command_that_fails(tmp_path: Path) -> None:
    done = rehearse(tmp_path, "qemu", "--break", "network:3", order=SHORT)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "after the failure of network: compared with before: identical" in done.stdout
