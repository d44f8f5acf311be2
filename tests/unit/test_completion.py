"""The shell completes commands, options and steps, set up as docs/commands.md says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
LINES = {
    shell: re.search(rf"(?m)^    (.*CELLBLOCK_COMPLETE={shell}_source.*?) +#", PAGE)
    for shell in ("bash", "zsh", "fish")
}
# What the shell does when a user presses TAB: the words so far are in WORDS.
ASKING = {
    "bash": """
        {line}
        COMP_WORDS=({words}) COMP_CWORD={last}
        "$(complete -p cellblock | sed -E 's/.*-F ([^ ]+).*/\\1/')" cellblock
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "zsh": """
        autoload -Uz compinit && compinit -D -u
        {line}
        words=({words}) CURRENT={count}
        compadd() {{ print -rl -- $completions; }}
        _describe() {{ print -rl -- ${{completions_with_descriptions%%:*}}; }}
        "${{_comps[cellblock]}}"
    """,
    "fish": """
        {line}
        complete -C '{typed}' | string split -f 1 \\t; true
    """,
}


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with this checkout's command on it, whichever the environment has."""
    command = tmp_path / "cellblock"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROJECT / "deploy.py"}" "$@"\n')
    command.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def completed(shell: str, typed: str, path: str) -> set[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    line = LINES[shell]
    assert line, f"docs/commands.md has no line for {shell}"
    words = typed.split(" ")
    text = ASKING[shell].format(
        line=line[1],
        words=" ".join(f"'{word}'" for word in words),
        last=len(words) - 1,
        count=len(words),
        typed=typed,
    )
    done = subprocess.run(
        [shell, *{"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell], "-c", text],
        cwd=PROJECT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("shell", LINES)
def test_a_command_an_option_and_a_step_are_completed(shell: str, path: str) -> None:
    assert completed(shell, "cellblock ro", path) == {"rollback"}
    assert completed(shell, "cellblock apply --q", path) == {"--quiet"}
    assert completed(shell, "cellblock runbook --o", path) == {"--output"}
    sample = "cellblock apply --site site.example.toml --to web."
    steps = {"web.jail", "web.standby", "web.cutover", "web.retire"}
    assert completed(shell, sample, path) == steps


def test_a_site_file_that_is_not_there_completes_nothing(path: str) -> None:
    assert completed("bash", "cellblock apply --site nosuch.toml --to web.", path) == set()


def test_the_command_is_installed_under_the_name_that_is_completed() -> None:
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["project"]["scripts"] == {"cellblock": "cellblock.deploy:run"}
