"""What was rehearsed, on which box and when. An apply on a live host reads this record.

A step is identified by its content: its operations and its checks. So it still counts as rehearsed
if the site file changes only other steps.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rollout.errors import Refused
from rollout.plan.step import Step


class Entry(BaseModel):
    """The last time that a step was applied and undone on a box; `when` is in UTC.

    `release` is that of the box's FreeBSD, without its patch level; None for the stand-in.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    step: str
    site: str
    box: str
    release: str | None = None
    when: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


_ENTRIES = TypeAdapter(dict[str, Entry])


def content(step: Step) -> str:
    """A hash over the step's operations and checks, independent of the steps before it."""
    text = "\n".join([step.name, *map(str, step.operations), *map(repr, step.checks)])
    return sha256(text.encode()).hexdigest()[:16]


def place() -> Path:
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return state / "cellblock" / "rehearsed.json"


def read() -> dict[str, Entry]:
    """The record: content -> entry. Raises Refused for a file that is not a record."""
    path = place()
    try:
        return _ENTRIES.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise Refused(
            f"{path}: the record of rehearsals cannot be read",
            evidence=str(error),
            todo="move the file away and rehearse again",
        ) from None


def release_of(uname: str) -> str:
    """The release in what `uname -r` prints: 15.0-RELEASE for 15.0-RELEASE-p5."""
    return re.sub(r"-p\d+$", "", uname.strip())


def note(steps: Iterable[Step], site: str, box: str, *, release: str | None) -> None:
    """Put these steps into the record: one entry for each release, and one for the stand-in."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    known = read()
    for step in steps:
        known[_key(step, release)] = Entry(
            step=step.name, site=site, box=box, release=release, when=when
        )
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}")
    half.write_bytes(_ENTRIES.dump_json(known, indent=1))
    half.replace(path)


def _key(step: Step, release: str | None) -> str:
    return f"{content(step)} {release}" if release else content(step)


def remarks(steps: Iterable[Step], release: str, *, strict: bool) -> list[str]:
    """Which of these steps were rehearsed for a host of this release, as lines for the user. With
    `strict`, raises Refused if one was not, in its current form, on a FreeBSD of the release.
    """
    known = read()
    steps = list(steps)
    here = [known[_key(step, release)] for step in steps if _key(step, release) in known]
    lacking: dict[str, list[str]] = {}
    for step in steps:
        if _key(step, release) not in known:
            lacking.setdefault(_instead(step, known, release), []).append(step.name)
    lines = [f"{how}: {', '.join(names)}" for how, names in sorted(lacking.items(), reverse=True)]
    if lacking and strict:
        raise Refused(
            f"{len(steps) - len(here)} of {len(steps)} steps were not rehearsed on FreeBSD "
            f"{release} in their current form (--strict)",
            evidence="\n".join(lines),
            todo="rehearse them with this site file on a box of that release (docs/box.md), or "
            "apply without --strict",
        )
    for box in sorted({entry.box for entry in here}):
        on = [entry for entry in here if entry.box == box]
        last = max(entry.when for entry in on)
        lines.append(f"rehearsed on {box}, last at {last}: {', '.join(e.step for e in on)}")
    return lines


def _instead(step: Step, known: Mapping[str, Entry], release: str) -> str:
    """How a step was rehearsed that was not on this release."""
    mark = content(step)
    others = sorted(str(e.release) for key, e in known.items() if key.startswith(f"{mark} "))
    if others:
        return (
            f"WARNING: rehearsed on FreeBSD {', '.join(others)} only, and this host runs {release}"
        )
    if mark in known:
        return "rehearsed on the stand-in only, not on a FreeBSD"
    return "WARNING: never rehearsed in their current form"
