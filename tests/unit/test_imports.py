"""Imports go one way: operations, then rollout, then steps; nobody imports the command line."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
OURS = {"box", "deploy", "operations", "rollout", "standin", "steps", "tests"}
MAY = {
    "box": ("box", "rollout"),
    "operations": ("operations",),
    "standin": ("standin",),
    "rollout": ("operations", "rollout", "standin"),
    "steps": ("operations", "rollout.errors", "rollout.site", "rollout.step", "steps"),
    "tests/checks": ("operations", "rollout.checks", "rollout.site", "tests.checks"),
}


@cache
def imported(file: Path) -> set[str]:
    """The modules of ours that a file imports, `from a import b` as a.b."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in OURS}


@pytest.mark.parametrize("folder", MAY)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    for file in (PROJECT / folder).rglob("*.py"):
        foreign = [
            name
            for name in imported(file)
            if not f"{name}.".startswith(tuple(f"{m}." for m in MAY[folder]))
        ]
        assert not foreign, f"{file.relative_to(PROJECT)} imports {foreign}"


def test_the_engine_knows_no_service_by_name() -> None:
    """Subjects reach it through the site file's order alone."""
    for file in (PROJECT / "rollout").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in {"web", "bind", "mail", "apache24", "named", "steps.mysql"}


def test_nobody_imports_the_command_line() -> None:
    folders = [PROJECT / name for name in OURS - {"deploy", "tests"}]
    for file in (each for folder in folders for each in folder.rglob("*.py")):
        assert not [name for name in imported(file) if name.split(".")[0] == "deploy"], file


def test_what_imports_are_looked_at_is_what_there_is() -> None:
    """A folder without Python files would pass everything above."""
    for folder in MAY:
        assert any((PROJECT / folder).rglob("*.py")), folder
