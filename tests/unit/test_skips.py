"""No test passes without testing: what cannot run here is skipped, and says why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(
    file
    for folder in ("unit", "contract", "rehearsal", "checks")
    for file in (TESTS / folder).rglob("*.py")
)
SKIPS = {"skip", "skipif", "importorskip", "xfail"}


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function itself, not of the functions within it."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def named(file: Path) -> list[ast.FunctionDef]:
    found = [node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef)]
    return [node for node in found if node.name.startswith("test_")]


EACH = pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(TESTS)) for file in FILES])


@EACH
def test_no_test_returns_before_its_end(file: Path) -> None:
    """As in `if shellcheck is None: return`: green, and nothing was tested."""
    for function in named(file):
        for node in own(function):
            assert not isinstance(node, ast.Return), f"{file}:{node.lineno}: {function.name}"


@EACH
def test_a_skip_says_why(file: Path) -> None:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Attribute) and node.attr in SKIPS:
            whose = ast.unparse(node.value)
            if whose not in ("pytest", "pytest.mark"):
                continue
            calls = [
                each
                for each in ast.walk(tree(file))
                if isinstance(each, ast.Call)
                and ast.unparse(each.func) == f"{whose}.{node.attr}"
                and each.lineno == node.lineno
            ]
            assert calls, f"{file}:{node.lineno}: {whose}.{node.attr} without a reason"
            [call] = calls
            reasons = [key.value for key in call.keywords if key.arg == "reason"]
            reasons += call.args[:1] if node.attr in ("skip", "xfail") else []
            assert reasons, f"{file}:{node.lineno}: {whose}.{node.attr} without a reason"
            assert ast.unparse(reasons[0]).strip("'\""), f"{file}:{node.lineno}: an empty reason"


@EACH
def test_no_exception_is_swallowed_by_a_test(file: Path) -> None:
    """As in `try: ... except Refused: pass`: whatever comes, it passes."""
    for function in named(file):
        for node in own(function):
            if isinstance(node, ast.ExceptHandler):
                only = all(
                    isinstance(each, (ast.Pass, ast.Return, ast.Continue)) for each in node.body
                )
                assert not only, f"{file}:{node.lineno}: {function.name}"


def test_a_tool_that_is_looked_for_and_not_found_ends_the_test() -> None:
    """In a file that looks for a tool there is a skip or a failure, or a stated way without it."""
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        if "shutil.which(" in text and file != Path(__file__):
            ways = (
                "pytest.skip(",
                "pytest.fail(",
                "assert found",
                ") or ",
                "if shutil.which(shell)",
                'for awk in ("awk", ',  # which is everywhere
                'for a in ("awk", ',
            )
            assert any(way in text for way in ways), file


def test_what_was_looked_at_is_what_there_is() -> None:
    assert len(FILES) > 40
    assert sum(len(named(file)) for file in FILES) > 300
