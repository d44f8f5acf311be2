"""How a run is shown on a real terminal, and elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.unit.rollout import runs
from tests.unit.rollout.on_terminal import PROJECT, Screen

ON_TERMINAL = (sys.executable, "-m", "tests.unit.rollout.on_terminal")
COLOUR = r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|9[0-7])[;m]"
IN_PLACE = "\x1b[?25l"  # the cursor is hidden while the picture is there
Open = Callable[..., Screen]


@pytest.fixture
def screen() -> Iterator[Open]:
    opened: list[Screen] = []

    def open_(*words: str, **environment: str) -> Screen:
        opened.append(Screen(*ON_TERMINAL, *words, environment=environment))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def piped(*words: str) -> str:
    done = subprocess.run(
        [*ON_TERMINAL, *words],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_on_a_terminal_there_is_a_picture_that_leaves_no_trace(screen: Open) -> None:
    run = screen("ends")
    assert run.end() == 0
    assert IN_PLACE in run.text
    assert "mysql.cutover (" in run.text
    assert run.shown[:4] == [
        "--- apply",
        "mysql.cutover: confirmed, 2 commands, 4.0 s",
        "all is well",
        runs.SUMMARY,
    ]
    assert len(run.shown) == 7, "the table of results is not the last"
    assert run.sane


def test_no_color_is_the_same_picture_without_colours(screen: Open) -> None:
    coloured, plain = screen("waits"), screen("waits", NO_COLOR="1")
    for each in (coloured, plain):
        each.until("mysql +.*x.*gap")
        assert IN_PLACE in each.text
    assert re.search(COLOUR, coloured.text)
    assert not re.search(COLOUR, plain.text)


@pytest.mark.parametrize(
    ("ends", "variables"), [("ends", {"TERM": "dumb"}), ("quiet", {}), ("verbose", {})]
)
def test_a_dumb_terminal_a_quiet_run_and_a_plain_one_have_no_picture(
    screen: Open, ends: str, variables: dict[str, str]
) -> None:
    run = screen(ends, **variables)
    assert run.end() == 0
    assert "\x1b" not in run.text


def test_off_a_terminal_there_are_plain_lines() -> None:
    told = piped("ends")
    assert "\x1b" not in told
    assert "mysql.cutover: confirmed, 2 commands, 4.0 s\n" in told
    assert "Stopping mysql." not in told


def test_with_verbose_the_host_is_heard_on_a_terminal_too() -> None:
    assert "    Stopping mysql.\n" in piped("verbose")


def test_events_are_lines_of_json_and_nothing_else() -> None:
    found = [json.loads(line) for line in piped("json").splitlines()]
    assert found[-1]["event"] == "results"


def test_leaving_the_picture_with_ctrl_c_is_clean_and_says_what_the_host_will_do(
    screen: Open,
) -> None:
    run = screen("waits")
    run.until("rollback in 9[0-9] s")
    assert [line.split()[0] for line in run.shown] == [
        *("---", "run", "step", "now", "deadline", "mysql", "the")
    ]
    run.press("\x03")
    assert run.end() == 1  # the exit code is deploy.py's to give
    said = " ".join(run.shown)
    assert "Interrupted: interrupted while mysql.cutover was checked" in said
    assert re.search(r"automatic rollback in \d+ s, at \d\d:\d\d:\d\d, unless", said)
    assert "deadline " not in said
    assert run.sane


@pytest.mark.slow
def test_the_picture_goes_on_while_pytest_has_the_standard_output(screen: Open) -> None:
    """As it does while the checks of a step run, in this very process."""
    run = screen("checks")
    run.until("rollback in 9[34] s", limit=20)


def test_a_question_at_a_gate_has_the_terminal_for_itself(screen: Open) -> None:
    run = screen("asks")
    run.until(r"Well\? \[y/N\]: ")
    assert run.shown == ["--- apply", "Well? [y/N]:"]
    run.press("y\n")
    assert run.end() == 0
    assert run.sane


def test_ctrl_c_at_a_gate_says_that_nothing_was_begun(screen: Open) -> None:
    run = screen("asks")
    run.until(r"Well\? \[y/N\]: ")
    time.sleep(2)  # in the moment before it reads, Python keeps ^C until the next key
    run.press("\x03")
    assert run.end() == 1  # the exit code is deploy.py's to give
    said = " ".join(run.shown)
    assert "interrupted at the gate of mysql.cutover: no command of it has run" in said
