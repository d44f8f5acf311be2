import subprocess
import time

import pytest

from box.clients.results import Acknowledged, Failure, Inserted
from box.remote import Answer
from tests.lab.baseline import BaselineError, one_line, refuse_if_it_failed


def run(stop: str, start: str) -> tuple[int, str]:
    done = subprocess.run(
        ["/bin/sh", "-c", one_line(stop, start)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def inserted(*moments: float) -> Inserted:
    rows = tuple(Acknowledged(mark=f"r-{at}", at=at) for at in moments)
    failures = (Failure(at=2.0, error="refused"),)
    return Inserted(run="r", started=0.0, ended=9.0, acknowledged=rows, failures=failures)


def test_both_are_run_and_what_they_said_is_kept() -> None:
    assert run("echo stopped # by hand", "echo started >&2") == (0, "stopped\nstarted\n")


def test_a_stop_that_failed_is_not_followed_by_the_start() -> None:
    assert run("echo not mine; false", "echo started") == (1, "not mine\n")


def test_a_start_that_failed_is_told() -> None:
    assert run("true", "(exit 7)") == (7, "")


def test_a_daemon_does_not_hold_the_command_open() -> None:
    began = time.monotonic()
    assert run("true", "sleep 3 &") == (0, "")
    assert time.monotonic() - began < 2


def test_a_row_after_the_start_is_the_proof() -> None:
    refuse_if_it_failed(Answer(0, "", ""), inserted(1.0, 5.0), ended=4.0)


def test_no_row_after_the_start_is_a_failure() -> None:
    with pytest.raises(BaselineError, match=r"no row was acknowledged.*refused"):
        refuse_if_it_failed(Answer(0, "", ""), inserted(1.0), ended=4.0)


def test_a_command_that_failed_is_a_failure() -> None:
    with pytest.raises(BaselineError, match="exit 1: no such service"):
        refuse_if_it_failed(Answer(1, "no such service", ""), inserted(1.0, 5.0), ended=4.0)
