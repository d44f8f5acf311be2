"""--help and completion respond at once: they import no more than they show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

PROJECT = Path(__file__).parents[2]
COMPLETE = "_CELLBLOCK_COMPLETE"
HEAVY = {
    *("dns", "gevent", "jinja2", "paramiko", "pycdlib", "pydantic", "pyinfra", "pymysql"),
    *("pytest", "_pytest", "rich", "testinfra", "vagrant"),
}
PLANNED = {"gevent", "paramiko", "jinja2", "pydantic", "pyinfra"}
"""What a plan, which alone knows the names of steps, is made with; pyinfra brings the first two."""
MOST = 4.5  # measured: 3.0; jinja2 adds 2.0, pytest 5, pyinfra 15
ROUNDS = 7


def typed(words: str) -> dict[str, str]:
    """The environment in which the shell asks for completions of the last of these words."""
    return {COMPLETE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}


Asked = tuple[list[str], dict[str, str]]
HELP: Asked = (["--help"], {})
COMMAND_HELP: Asked = (["rehearse", "--help"], {})
A_COMMAND: Asked = ([], typed("cellblock ro"))
AN_OPTION: Asked = ([], typed("cellblock apply --q"))
A_STEP: Asked = ([], typed("cellblock apply --site site.example.toml --to web.c"))


def run(words: list[str], more: dict[str, str]) -> tuple[str, str, float]:
    """stdout, stderr, and the seconds of a processor that it took: other load does not count."""
    # As the Makefile has it: a user's second --help finds bytecode, too.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **more}
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        assert child.stderr
        out, said = child.stdout.read(), child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, said
    return out, said, usage.ru_utime + usage.ru_stime


def imported(words: list[str], more: dict[str, str]) -> set[str]:
    """The packages that it imports."""
    _, said, _ = run(["-X", "importtime", "deploy.py", *words], more)
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in said.splitlines()}


@pytest.mark.parametrize("asked", [HELP, COMMAND_HELP, A_COMMAND, AN_OPTION])
def test_nothing_heavy_is_imported(asked: Asked) -> None:
    found = imported(*asked)
    assert {"click", "rollout"} <= found
    assert not found & HEAVY


def test_a_step_is_completed_from_the_plan_once_and_then_from_what_was_kept(
    tmp_path: Path,
) -> None:
    words, more = A_STEP
    kept = {**more, "XDG_CACHE_HOME": str(tmp_path)}
    found = imported(words, kept)
    assert "steps" in found
    assert found & HEAVY <= PLANNED
    assert not imported(words, kept) & HEAVY


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (HELP, "Usage: "),
        (COMMAND_HELP, "--chaos"),
        (A_COMMAND, "rollback"),
        (AN_OPTION, "--quiet"),
        (A_STEP, "web.cutover"),
    ],
)
def test_it_takes_a_few_times_as_long_as_an_empty_program(
    asked: Asked, answer: str, tmp_path: Path
) -> None:
    words, more = asked[0], {**asked[1], "XDG_CACHE_HOME": str(tmp_path)}
    assert answer in run(["deploy.py", *words], more)[0]
    rounds = [
        (run(["deploy.py", *words], more)[2], run(["-c", "pass"], {})[2]) for _ in range(ROUNDS)
    ]
    ours, empty = (median(times) for times in zip(*rounds, strict=True))
    assert ours < MOST * empty, f"{ours:.3f} s of a processor, an empty program {empty:.3f} s"
