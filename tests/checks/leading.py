"""Symbolic links that lead to what a jail will not have."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from shlex import quote
from typing import Any

from operations.carried import is_in

_TOLD = 5  # links


def lost(host: Any, found: str, has: Sequence[str]) -> list[str]:
    """Of the links that the command `found` prints: those whose end the host has, and the jail will
    not. It is find(1), with the paths of links to print by `stat -f '%N%t%Y'`.
    """
    printed = host.run(f"{found} -type l -exec stat -f '%N%t%Y' {{}} +").stdout.splitlines()
    odd = [row for row in printed if row.count("\t") != 1]
    rows = [row.split("\t") for row in printed if row not in odd]
    ends = {link: posixpath.normpath(posixpath.join(link, "..", end)) for link, end in rows}
    away = {link: end for link, end in ends.items() if not is_in(end, has)}
    words = " ".join(map(quote, away))
    asked = f'for each in {words}; do [ ! -e "$each" ] || echo "$each"; done'
    there = host.check_output(asked).splitlines() if away else []
    return [
        *(f"{link} leads to {away[link]}" for link in there),
        *(f"{row}: a name with a line break or tab" for row in odd),
    ]


def told(links: Sequence[str]) -> str:
    """The first of them, and how many there are besides."""
    more = f"; and {len(links) - _TOLD} more" if len(links) > _TOLD else ""
    return f"{'; '.join(links[:_TOLD])}{more}"
