"""[mac]: what accounts may see of each other, enforced by the kernel's own rules (mac(4))."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_RULES = 250
"""Rules that the kernel has room for (MAC_BSDEXTENDED_MAXRULES in mac_bsdextended.c)."""

Group = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
"""A group of the host's group(5)."""


class Mac(BaseModel):
    """[mac]. The files of accounts are always kept apart, once `mac` is in the order.

    `processes`: who sees the processes of others; `own` lets everybody but root see their own only.
    `shared`: files with this group are left to their modes. `watchers`: this group sees all
    processes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    processes: Literal["own", "all"] = "own"
    shared: Group | None = None
    watchers: Group | None = None

    def rules(self, ranges: Iterable[tuple[int, int]]) -> tuple[str, ...]:
        """The rules of ugidfw(8), written as it prints them but for names in place of uids.

        One for each pair of ranges, since a rule has one range of subjects and one of objects.
        The number of a rule is its place.
        """
        apart = _apart(ranges)
        left = f"! gid {self.shared} " if self.shared else ""
        return tuple(
            f"subject uid {_span(who)} object uid {_span(whose)} {left}! uid_of_subject mode n"
            for who in apart
            for whose in apart
        )


def _apart(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same uids in ranges that do not overlap, the lowest first."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def _span(uids: tuple[int, int]) -> str:
    return f"{uids[0]}:{uids[1]}"
