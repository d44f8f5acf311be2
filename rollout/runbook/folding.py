"""Where a long line of sh may be folded for a reader, without a change to its text."""

from __future__ import annotations

import re
from collections.abc import Iterator

WIDTH = 76
"""Characters; a shorter line is not folded."""

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_][\w-]*)\1\s*$")
# Quoted or escaped text, an operator, or one other character.
_TOKEN = re.compile(
    r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.|(?P<before>&&|\|\|?)|(?P<after>;;?[ ]?)|.", re.DOTALL
)


def folded(text: str) -> list[list[str]]:
    """The lines of a command, each split into parts that together are the line.

    A part begins with &&, || or |, or after a semicolon, but never within quotes. Here-documents
    are not folded.
    """
    lines: list[list[str]] = []
    end = ""
    for line in text.split("\n"):
        inside = bool(end)
        if end and line == end:
            end = ""
        found = None if inside else _HEREDOC.search(line)
        if found:
            end = found[2]
        short = inside or len(line) <= WIDTH
        lines.append([line] if short else list(_parts(line)))
    return lines


def _parts(line: str) -> Iterator[str]:
    part = ""
    for token in _TOKEN.finditer(line):
        if token["before"] and part.strip():
            yield part
            part = ""
        part += token[0]
        if token["after"]:
            yield part
            part = ""
    if part:
        yield part
