"""File systems of the host, as `mount -p` and fstab(5) have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from operations.carried import is_in


def lines(text: Iterable[str]) -> dict[str, list[str]]:
    """Mount point -> the words of its line; the last one counts."""
    rows = [line.split() for line in text]
    return {row[1]: row for row in rows if len(row) > 3 and not row[0].startswith("#")}


def holding(path: str, mounted: Mapping[str, object]) -> str:
    """The mount point of the file system that has this path, with links resolved."""
    return max((at for at in mounted if is_in(path, [at])), key=len, default="/")
