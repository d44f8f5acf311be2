"""Accounts that a configuration names, and that a jail will not have."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any


def lost(host: Any, named: Mapping[str, str], uids: tuple[int, int] | None) -> list[str]:
    """Of the accounts in `named` (each with what names it): those of people outside of `uids`."""
    words = " ".join(map(quote, named))
    asked = f"for name in {words}; do echo $name $(id -u $name 2>/dev/null); done"
    rows = [row.split() for row in host.check_output(asked).splitlines()] if named else []
    low, high = uids or (1, 0)
    return [
        f"{named[row[0]]}: account {row[0]}, uid {row[1]}"
        for row in rows
        if len(row) == 2 and 1000 <= int(row[1]) < 65530 and not low <= int(row[1]) <= high
    ]
