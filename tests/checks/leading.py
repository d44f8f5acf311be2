"""Symbolic links that lead to what a jail will not have."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from shlex import quote
from typing import Any

from operations.carried import is_in

_TOLD = 5  # links


def printed(host: Any, found: str) -> list[str]:
    """The links that the command `found`, a find(1), finds: path and end of each."""
    return list(host.run(f"{found} -type l -exec stat -f '%N%t%Y' {{}} +").stdout.splitlines())


def lost(host: Any, links: Sequence[str], has: Sequence[str]) -> list[str]:
    """Of these printed links, those whose end the host has, and the jail will not."""
    odd = [row for row in links if row.count("\t") != 1]
    rows = [row.split("\t") for row in links if row not in odd]
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
