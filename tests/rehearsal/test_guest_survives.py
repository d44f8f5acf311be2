"""A real FreeBSD whose operator is killed, and one that loses power in the middle of a step."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from box.qemu.guest import Guest
from tests.lab.operator import Operator

pytestmark = [pytest.mark.guest, pytest.mark.timeout(1800)]


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    return Operator(fresh_guest, tmp_path, ("preflight", "base", "network", "bind"))


def states(operator: Operator) -> dict[str, str]:
    done = operator.deploy("status", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    steps: list[dict[str, Any]] = json.loads(done.stdout)["steps"]
    return {step["step"]: step["state"] for step in steps}


def kill_when(operator: Operator, step: str, *words: str) -> None:
    """Kill deploy.py and all that it started, once the host has begun that step."""
    running = operator.begin(*words)
    try:
        operator.guest.wait_until(
            lambda: (
                operator.guest.sh(f"test -s /var/db/cellblock/steps/*-{step}/progress").exit == 0
            ),
            f"at the step {step}",
            300.0,
        )
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def test_another_clone_shows_the_state_and_continues_after_kill_9(operator: Operator) -> None:
    before = operator.fingerprint()
    kill_when(operator, "network", "apply", "--to", "network")
    assert states(operator)["base"] == "confirmed"
    assert states(operator)["network"] in ("applying", "applied", "undoing", "undone")
    done = operator.deploy("apply", "--to", "network")
    assert done.returncode == 0, done.stdout + done.stderr
    assert states(operator)["network"] == "confirmed"
    done = operator.deploy("rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert operator.fingerprint() == before


def test_after_a_power_cut_what_was_confirmed_is_there_and_what_was_not_is_undone(
    operator: Operator,
) -> None:
    done = operator.deploy("apply", "--to", "bind.jail")
    assert done.returncode == 0, done.stdout + done.stderr
    before = operator.fingerprint()
    kill_when(operator, "bind.standby", "apply", "--to", "bind.standby")
    operator.guest.power_off()
    operator.guest.boot()
    time.sleep(1)
    assert states(operator)["bind.jail"] == "confirmed"
    assert states(operator)["bind.standby"] == "undone"
    assert operator.fingerprint() == before
    verified = operator.deploy("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
