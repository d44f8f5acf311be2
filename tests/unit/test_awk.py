"""What FreeBSD's awk does not read, and those of other systems do."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FILES = [
    file
    for folder in ("operations", "steps", "rollout/host", "tests/checks")
    for file in sorted((PROJECT / folder).rglob("*"))
    if file.suffix in (".py", ".awk", ".sh", ".j2")
]


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(PROJECT)) for file in FILES])
def test_no_regular_expression_has_a_slash_in_brackets(file: Path) -> None:
    """Its end is the slash, for FreeBSD's awk: "nonterminated character class" (seen on 15.0)."""
    assert "[/]" not in file.read_text(encoding="utf-8")
