"""A hand-over compared by the site file's questions, with files in the daemon's place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from operations import asked

QUESTIONS = ("cat first", "cat second | sort")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where two files stand for what the daemon answers."""
    monkeypatch.setattr(asked, "_TRIES", 3)
    (tmp_path / "keep").mkdir()
    (tmp_path / "first").write_text("secret\n")
    (tmp_path / "second").write_text("b\na\n")
    return tmp_path


def sh(command: str, here: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command],
        cwd=here,
        env={"KEEP": str(here / "keep"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_same_answers_pass_there_and_back(here: Path) -> None:
    twin = asked.same_answers(QUESTIONS, "cache")
    both = f"{twin.noted} && {twin.same}; echo $?; {twin.back}; {twin.again}; echo $?"
    assert sh(both, here).stdout.split() == ["0", "0"]


@pytest.mark.parametrize("file", ["first", "second"])
def test_another_answer_fails_and_is_told_without_what_it_says(here: Path, file: str) -> None:
    twin = asked.same_answers(QUESTIONS, "cache")
    done = sh(f"{twin.noted} && echo other > {file} && {twin.same}", here)
    assert done.returncode != 0
    question = next(each for each in QUESTIONS if file in each)
    assert f"{question}: prints something else in jail cache than on the host" in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_an_answer_that_comes_late_is_waited_for(here: Path) -> None:
    twin = asked.same_answers(QUESTIONS, "cache")
    late = "mv first away; { sleep 0.3; mv away first; } &"
    assert sh(f"{twin.noted}; {late} {twin.same}", here).returncode == 0


def test_a_daemon_that_gives_no_answer_before_is_not_stopped(here: Path) -> None:
    (here / "first").unlink()
    twin = asked.same_answers(QUESTIONS, "cache")
    assert sh(f"{twin.noted} && echo stopped", here).stdout == ""


def test_on_the_way_back_another_answer_is_told_and_is_no_obstacle(here: Path) -> None:
    twin = asked.same_answers(QUESTIONS, "cache")
    done = sh(f"{twin.noted}; {twin.back}; echo later > first; {twin.again}", here)
    assert done.returncode == 0
    told = "notice: cat first: prints something else on the host than in jail cache before\n"
    assert done.stdout == told
    same = sh(f"{twin.noted}; echo later > first; {twin.back}; {twin.again}", here)
    assert (same.returncode, same.stdout) == (0, "")


def test_on_the_way_back_a_host_that_gives_no_answer_is_told(here: Path) -> None:
    twin = asked.same_answers(QUESTIONS, "cache")
    lost = sh(f"{twin.noted}; {twin.back}; rm first; {twin.again}", here)
    assert lost.returncode != 0
    assert "cat first: prints nothing on the host\n" in lost.stdout


def test_on_the_way_back_a_jail_that_says_nothing_is_no_obstacle(here: Path) -> None:
    twin = asked.same_answers(QUESTIONS, "cache")
    dead = f"{twin.noted}; mv first away; {twin.back}; mv away first; {twin.again}"
    assert sh(dead, here).returncode == 0
