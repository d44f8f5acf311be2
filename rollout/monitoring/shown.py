"""A watch as text for a person, as data, and as lines for a log."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rollout.monitoring.finding import Finding, Looked
from rollout.monitoring.state import Changes
from rollout.site import Site

_SHOWN = 5  # in one line


def text(changes: Changes) -> str:
    """What is to be told, with evidence and what to do; empty if there is nothing."""
    told = [
        *(_shown("new", each) for each in changes.new),
        *(_shown(f"still, since {_time(changes.open[each])}", each) for each in changes.again),
        *(
            f"recovered: {id} (since {_time(each.since)}: {each.says})"
            for id, each in changes.over.items()
        ),
    ]
    return "\n".join(told)


def _shown(how: str, each: Finding) -> str:
    lines = [f"{how}: {each.says} ({each.id})"]
    if each.evidence.strip():
        lines.append(textwrap.indent(each.evidence.strip("\n"), "    "))
    if each.todo:
        lines.append(f"  -> {each.todo}")
    return "\n".join(lines)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def lines(site: Site, changes: Changes) -> Iterator[tuple[int, str]]:
    """The same in one line each, without what the host said, and with a level of logging."""
    for how, found in (("new", changes.new), ("still", changes.again)):
        for each in found:
            yield logging.WARNING, f"{site.name}: {how}: {each.id}: {each.says}"
    for id, known in changes.over.items():
        yield logging.INFO, f"{site.name}: recovered: {id} (it was: {known.says})"


def event(site: Site, changes: Changes) -> dict[str, Any]:
    """For the hook: like `lines`, without what the host said."""
    says = [each.says for each in (*changes.new, *changes.again)]
    says += [f"recovered: {id}" for id in changes.over]
    return {
        "text": f"{site.name}: {_short(says)}",
        "new": [_words(each, changes) for each in changes.new],
        "again": [_words(each, changes) for each in changes.again],
        "recovered": _over(changes),
    }


def _short(says: Sequence[str]) -> str:
    more = [f"and {len(says) - _SHOWN} more"] if len(says) > _SHOWN else []
    return "; ".join([*says[:_SHOWN], *more])


def _words(each: Finding, changes: Changes) -> dict[str, str]:
    since = _time(changes.open[each])
    return {"id": each.id, "says": each.says, "todo": each.todo, "since": since}


def _over(changes: Changes) -> list[dict[str, str]]:
    return [
        {"id": id, "says": each.says, "since": _time(each.since)}
        for id, each in changes.over.items()
    ]


def data(
    site: Site, looked: Looked, changes: Changes, at: datetime, warnings: Sequence[str]
) -> dict[str, Any]:
    """For --json: all findings, whether they were told before or not."""
    how = dict.fromkeys(changes.new, "new") | dict.fromkeys(changes.again, "again")
    return {
        "site": site.name,
        "time": _time(at),
        "reached": looked.reached,
        "well": not changes.open,
        "findings": [
            {**_words(each, changes), "evidence": each.evidence, "told": how.get(each, "before")}
            for each in changes.open
        ],
        "recovered": _over(changes),
        "ignored": list(changes.ignored),
        "asked": sorted(looked.asked),
        "warnings": list(warnings),
    }
