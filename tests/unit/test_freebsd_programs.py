"""What FreeBSD's awk and ps read otherwise than those of other systems."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FILES = [
    file
    for folder in ("operations", "steps", "rollout/host", "tests/checks")
    for file in sorted((PROJECT / folder).rglob("*"))
    if file.suffix in (".py", ".awk", ".sh", ".j2")
]


EACH = pytest.mark.parametrize(
    "file", FILES, ids=[str(file.relative_to(PROJECT)) for file in FILES]
)


@EACH
def test_no_regular_expression_has_a_slash_in_brackets(file: Path) -> None:
    """Its end is the slash, for FreeBSD's awk: "nonterminated character class" (seen on 15.0)."""
    assert "[/]" not in file.read_text(encoding="utf-8")


@EACH
def test_no_column_of_ps_follows_one_with_a_title(file: Path) -> None:
    """All behind the first = is its title, commas included (parsefmt in bin/ps/keyword.c)."""
    assert not re.search(r"\bps [^;|]*-\S*o\s*\w+=,\w", file.read_text(encoding="utf-8"))
