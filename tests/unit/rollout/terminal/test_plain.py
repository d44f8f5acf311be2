"""A run in plain lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rollout.terminal.harmless import harmless
from rollout.terminal.plain import PlainLines, Quiet, Verbose
from tests.unit.rollout import runs

PROJECT = Path(__file__).parents[4]


def test_a_step_is_one_line_and_the_result_stands_above_its_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs.replay(PlainLines())
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "--- apply",
        "mysql.cutover: confirmed, 2 commands, 4.0 s",
        "all is well",
        "",
        runs.SUMMARY,
        "",
    ]
    assert lines[6].split() == ["step", "result", "cmds", "checks", "outage", "time"]
    assert "0.40 s (limit 15 s)" in lines[8]
    assert lines[9:] == [""]


def test_verbose_has_every_command_and_nothing_that_is_for_the_runner(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs.replay(Verbose())
    lines = capsys.readouterr().out.splitlines()
    assert lines[:11] == [
        "--- apply",
        "mysql.cutover: gate: Go on?",
        "mysql.cutover: running 2 commands",
        "    2026-11-24T02:45:32Z 012-mysql.cutover: applying",
        "    001 stop [the] host's mysql-server",
        "    Stopping mysql.",
        "    002 start the jail's",
        "    2026-11-24T02:45:32Z 012-mysql.cutover: applied",
        "mysql.cutover: running 3 checks; automatic rollback in 118 s unless confirmed",
        "mysql.cutover: confirmed, 2 commands, 4.0 s",
        "all is well",
    ]
    assert "channels" in lines[14]
    assert "round trips" in lines[14]


def test_an_act_of_a_rehearsal_is_headed_by_its_part(capsys: pytest.CaptureFixture[str]) -> None:
    PlainLines().act("rollback", "part 2 of 5")
    assert capsys.readouterr().out == "--- part 2 of 5: rollback\n"


def test_an_undo_says_why_and_its_checks_have_no_deadline(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = Verbose()
    told.undoing("web.standby", "2 checks failed")
    told.checking("web.standby", 7)
    assert capsys.readouterr().out.splitlines() == [
        "web.standby: undoing it (2 checks failed)",
        "web.standby: running 7 checks",
    ]


def test_a_rehearsal_has_its_result_below_the_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    told = PlainLines()
    told.verdicts([{"step": "base", "apply": "ok"}], "Rolled back and compared: identical.")
    said = capsys.readouterr().out
    assert said.index("step") < said.index("Rolled back")
    told.verdicts([], "web.cutover failed.")
    assert capsys.readouterr().out == "\nweb.cutover failed.\n\n"


def test_no_line_of_ours_is_wider_than_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    outages = {
        f"bind 53/{each}": {"verdict": "outage", "seconds": 14.123, "limit": 15.0}
        for each in ("udp", "tcp")
    }
    told = PlainLines()
    told.ended([{**runs.RESULTS[0], "outcome": "rolledback", "outage": outages}], "word " * 40)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_quiet_is_the_result_alone(capsys: pytest.CaptureFixture[str]) -> None:
    runs.replay(Quiet())
    assert capsys.readouterr().out == f"{runs.SUMMARY}\n"


def test_a_quiet_rehearsal_has_the_result_of_the_whole_and_no_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = Quiet(rehearsal=True)
    runs.replay(told)
    assert capsys.readouterr().out == ""
    told.verdicts([{"step": "base", "apply": "ok"}], "Rolled back and compared: identical.")
    assert capsys.readouterr().out == "Rolled back and compared: identical.\n"


def test_a_terminal_is_not_made_to_obey_what_a_log_says() -> None:
    assert harmless("a\x1b]0;title\x07b\rc\udcff\tü\n") == "a?]0;title?b?c?\tü\n"


def test_a_run_goes_on_when_nobody_reads_it_any_more() -> None:
    """As behind head(1): a reader that stops must not end a rollout in the middle of a step."""
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
