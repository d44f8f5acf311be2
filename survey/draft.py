"""A site file that is being drafted: its values, where each was seen, and what is left to ask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rollout.plan.step import Check


@dataclass(frozen=True)
class Value:
    """What a key has, and where that was seen: FILE:LINE, or the command that shows it."""

    what: Any
    seen: str = ""


@dataclass(frozen=True)
class Question:
    """What only a person can decide about a key of a table: what, and why it cannot be known.

    `lines` are what may be written there, or instead.
    """

    table: str
    key: str
    what: str
    why: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stranger:
    """A daemon that stays on the host; `listens` are its ports, as 21/tcp at *."""

    daemon: str
    listens: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Obstacle:
    """What Cellblock refuses: by a check, or in a step of the plan, by its name.

    `service` stays on the host for it; "" if it is of the host, or of a service that moves.
    """

    by: Check | str
    message: str
    service: str = ""


@dataclass
class Draft:
    """`tables` are those of the site file by their names, as services.web; "" has the first."""

    tables: dict[str, dict[str, Value]] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    @property
    def left(self) -> dict[str, list[str]]:
        """The services that stay on the host for now, each with what Cellblock's own checks say."""
        found: dict[str, list[str]] = {}
        for each in self.obstacles:
            if each.service:
                found.setdefault(each.service, []).append(each.message)
        return found

    @property
    def told(self) -> list[str]:
        """What these checks say besides."""
        return [each.message for each in self.obstacles if not each.service]

    def put(self, table: str, key: str, what: Any, seen: str = "") -> None:
        """Set a key. Without a `seen` the one that it had stays."""
        there = self.tables.setdefault(table, {})
        had = there.get(key)
        there[key] = Value(what, seen or (had.seen if had else ""))

    def get(self, table: str, key: str, default: Any = None) -> Any:
        found = self.tables.get(table, {}).get(key)
        return default if found is None else found.what

    def add(self, table: str, key: str, more: Iterable[Any], seen: str = "") -> bool:
        """Add to a list what it does not have. Returns whether that was anything."""
        had = list(self.get(table, key, []))
        new: list[Any] = []
        for each in more:
            if each not in (*had, *new):
                new.append(each)
        if new:
            before = self.tables.get(table, {}).get(key)
            places = [before.seen if before else "", seen]
            told = "; ".join(dict.fromkeys(each for each in places if each))
            self.put(table, key, [*had, *new], told)
        return bool(new)

    def names(self, kind: str) -> list[str]:
        """Of `services` or `jails`: those that are described."""
        return [each.partition(".")[2] for each in self.tables if each.startswith(f"{kind}.")]

    @property
    def order(self) -> list[str]:
        return list(self.get("", "order", []))

    def data(self) -> dict[str, Any]:
        """The values, as tomllib reads them from the file."""
        found: dict[str, Any] = {}
        for table, keys in self.tables.items():
            at = found
            for part in table.split(".") if table else ():
                at = at.setdefault(part, {})
            at |= {key: value.what for key, value in keys.items()}
        return found


def jail_of(draft: Draft, service: str) -> str:
    """The jail of a service that is described."""
    return next(
        jail
        for jail in draft.names("jails")
        if service in draft.get(f"jails.{jail}", "services", [])
    )
