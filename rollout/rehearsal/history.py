"""What was rehearsed, on which box and when. An apply on a live host reads this record.

A step is identified by its content: its operations and its checks. So it still counts as rehearsed
if the site file changes only other steps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rollout.errors import Refused
from rollout.plan.step import Step


class Entry(BaseModel):
    """The last time that a step was applied and undone on a box; `when` is in UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    site: str
    box: str
    freebsd: bool
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


def note(steps: Iterable[Step], site: str, box: str, *, freebsd: bool) -> None:
    """Put these steps into the record. A stand-in does not replace the entry of a FreeBSD."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    known = read()
    for step in steps:
        there = known.get(content(step))
        if freebsd or there is None or not there.freebsd:
            known[content(step)] = Entry(
                step=step.name, site=site, box=box, freebsd=freebsd, when=when
            )
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}")
    half.write_bytes(_ENTRIES.dump_json(known, indent=1))
    half.replace(path)


def remarks(steps: Iterable[Step], *, strict: bool) -> list[str]:
    """Which of these steps were rehearsed, as lines for the user. With `strict`, raises Refused if
    one was never rehearsed in its current form.
    """
    known = read()
    steps = list(steps)
    never = [step.name for step in steps if content(step) not in known]
    found = [known[content(step)] for step in steps if content(step) in known]
    if never and strict:
        raise Refused(
            f"{len(never)} of {len(steps)} steps were never rehearsed in their current form "
            "(--strict)",
            evidence="\n".join(never),
            todo="rehearse them with this site file, or apply without --strict",
        )
    lines = []
    if never:
        lines.append(f"WARNING: never rehearsed in their current form: {', '.join(never)}")
    modelled = [entry.step for entry in found if not entry.freebsd]
    if modelled:
        lines.append(f"rehearsed on the stand-in only, not on a FreeBSD: {', '.join(modelled)}")
    for box in sorted({entry.box for entry in found if entry.freebsd}):
        on = [entry for entry in found if entry.box == box]
        last = max(entry.when for entry in on)
        lines.append(f"rehearsed on {box}, last at {last}: {', '.join(e.step for e in on)}")
    return lines
