"""A long line is folded where a reader expects it, and its text stays as it is."""

from __future__ import annotations

import pytest

from rollout.runbook.folding import WIDTH, folded
from tests.unit.rollout.runbook.test_pages import SAMPLE, commands

LONG = "x" * WIDTH


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (f"a {LONG} && b || c", [f"a {LONG} ", "&& b ", "|| c"]),
        (f"a {LONG} | b; c", [f"a {LONG} ", "| b; ", "c"]),
        (f"a {LONG} 'b && c; d | e' \"f && $g; h\" i", None),
        (f'a {LONG} "b \\" && c" \\; \\| d', None),
        (f"a {LONG} >&2 2>&1", None),
        (f"case a in b) {LONG};; c) d;; esac", [f"case a in b) {LONG};; ", "c) d;; ", "esac"]),
        ("a && b; c | d", None),
    ],
)
def test_a_line_is_folded_at_operators_outside_quotes(line: str, parts: list[str] | None) -> None:
    assert folded(line) == [parts or [line]]


def test_a_quote_that_is_not_closed_is_text_like_any_other() -> None:
    assert folded(f"a {LONG} it's && b") == [[f"a {LONG} it's ", "&& b"]]


def test_the_content_of_a_file_is_not_folded() -> None:
    inside = f"{LONG} && a; b"
    text = f"(umask 077 && cat > {LONG}) <<'END'\n{inside}\nEND\n{inside}"
    first, content, end, after = folded(text)
    assert len(first) == 2
    assert (content, end) == ([inside], ["END"])
    assert len(after) == 3


@pytest.mark.parametrize("position", range(len(SAMPLE.steps)))
def test_the_parts_of_every_command_are_the_command(position: int) -> None:
    for command in commands(SAMPLE, position):
        for text in (command.do, command.undo or ":"):
            assert "\n".join("".join(parts) for parts in folded(text)) == text
