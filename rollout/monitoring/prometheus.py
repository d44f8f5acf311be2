"""A file for node_exporter's textfile collector.

Its format is lines of text, so no library is needed for them (docs/decisions/0039).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from rollout.monitoring.finding import KINDS, Looked
from rollout.monitoring.state import Changes
from rollout.site import Site


def text(site: Site, looked: Looked, changes: Changes, at: datetime) -> str:
    return "".join(f"{line}\n" for line in _lines(site, looked, changes, at))


def _lines(site: Site, looked: Looked, changes: Changes, at: datetime) -> Iterator[str]:
    of = f'site="{_escaped(site.name)}"'
    yield "# HELP cellblock_up Whether the host could be asked."
    yield "# TYPE cellblock_up gauge"
    yield f"cellblock_up{{{of}}} {int(looked.reached)}"
    yield "# HELP cellblock_watched_seconds When it was asked last, in seconds since 1970."
    yield "# TYPE cellblock_watched_seconds gauge"
    yield f"cellblock_watched_seconds{{{of}}} {at.timestamp():.0f}"
    yield "# HELP cellblock_findings How many findings there are, by kind."
    yield "# TYPE cellblock_findings gauge"
    for kind in KINDS:
        if kind in looked.asked:
            count = sum(each.kind == kind for each in changes.open)
            yield f'cellblock_findings{{{of},kind="{kind}"}} {count}'
    if changes.open:
        yield "# HELP cellblock_finding_since_seconds Each finding, and since when there is one."
        yield "# TYPE cellblock_finding_since_seconds gauge"
    for each, since in changes.open.items():
        named = f'{of},id="{_escaped(each.id)}"'
        yield f"cellblock_finding_since_seconds{{{named}}} {since.timestamp():.0f}"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def can_be(path: Path) -> bool:
    """Whether there could be a file of that name."""
    try:
        return path.parent.is_dir() and not path.is_dir()
    except OSError:  # a directory that nobody may enter, a name that is too long
        return False


def write(path: Path, content: str) -> str:
    """By one rename, so that no half is ever read. Returns why that failed, or ""."""
    half = path.with_name(f".{path.name}.{os.getpid()}")  # which the collector does not read
    try:
        half.write_text(content, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        return f"{path}: it cannot be written: {error.strerror}"
    return ""
