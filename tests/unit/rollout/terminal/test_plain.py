"""A run in plain lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rollout.terminal.plain import PlainLines, Quiet, harmless
from tests.unit.rollout import runs

PROJECT = Path(__file__).parents[4]


def test_each_thing_is_a_line_and_what_is_for_the_runner_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs.replay(PlainLines())
    lines = capsys.readouterr().out.splitlines()
    assert "round trips  time" in lines.pop(11)
    assert lines[:11] == [
        "--- apply",
        "mysql.cutover: at the gate: Go on?",
        "mysql.cutover: running 2 commands",
        "    2026-11-24T02:45:32Z 012-mysql.cutover: applying",
        "    001 stop [the] host's mysql-server",
        "    Stopping mysql.",
        "    002 start the jail's",
        "    2026-11-24T02:45:32Z 012-mysql.cutover: applied",
        "mysql.cutover: asking 3 checks; without a confirm the host undoes it in 118 s",
        "mysql.cutover: confirmed, 0 of 0 checks passed, 1 channels, 9 round trips",
        "all is well",
    ]


def test_an_undo_says_why_and_its_checks_have_no_deadline(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = PlainLines()
    told.undoing("web.standby", "2 checks failed")
    told.checking("web.standby", 7)
    assert capsys.readouterr().out.splitlines() == [
        "web.standby: undoing it (2 checks failed)",
        "web.standby: asking 7 checks",
    ]


def test_quiet_is_the_last_table_alone(capsys: pytest.CaptureFixture[str]) -> None:
    told = Quiet()
    runs.replay(told)
    assert capsys.readouterr().out == ""
    told.close()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("mysql.cutover")


def test_quiet_says_nothing_of_a_run_that_did_not_begin(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Quiet().close()
    assert capsys.readouterr().out == ""


def test_a_terminal_is_not_made_to_obey_what_a_log_says() -> None:
    assert harmless("a\x1b]0;title\x07b\rc\udcff\tü\n") == "a?]0;title?b?c?\tü\n"


def test_a_run_goes_on_when_nobody_reads_it_any_more() -> None:
    """As behind head(1): it is not for the reader to end a rollout in the middle of a step."""
    code = (
        "import sys\n"
        "from rollout.terminal.plain import PlainLines\n"
        "for n in range(20000): PlainLines().note(f'line {n} of many')\n"
        "print('to the end', file=sys.stderr)\n"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", '"$1" -c "$2" | head -n 1', "sh", sys.executable, code],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("line 0 of many\n", "to the end\n")
