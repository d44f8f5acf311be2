"""What was rehearsed, on what box and when: the record that an apply on a live host looks into.

A step counts by its content: what it does and how it is checked. So a site file in which another
step was changed leaves this one rehearsed.
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
    """The last time that a step went forward and back on a box; `when` is in UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    site: str
    box: str
    freebsd: bool
    when: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


_ENTRIES = TypeAdapter(dict[str, Entry])


def content(step: Step) -> str:
    """Its hash, over what it does and how it is checked, whatever stands before it."""
    text = "\n".join([step.name, *map(str, step.operations), *map(repr, step.checks)])
    return sha256(text.encode()).hexdigest()[:16]


def place() -> Path:
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return state / "cellblock" / "rehearsed.json"


def read() -> dict[str, Entry]:
    """The record: content -> entry. A file that is no record is refused, not taken for empty."""
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
    """Put these steps into the record. A stand-in does not take a FreeBSD's place."""
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


def look(steps: Iterable[Step], *, strict: bool) -> list[str]:
    """What to tell of the steps that an apply will run. Raises Refused, with `strict`, where one of
    them was never rehearsed as it is.
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
    told = []
    if never:
        told.append(f"WARNING: never rehearsed in their current form: {', '.join(never)}")
    modelled = [entry.step for entry in found if not entry.freebsd]
    if modelled:
        told.append(f"rehearsed on the stand-in only, not on a FreeBSD: {', '.join(modelled)}")
    for box in sorted({entry.box for entry in found if entry.freebsd}):
        on = [entry for entry in found if entry.box == box]
        last = max(entry.when for entry in on)
        told.append(f"rehearsed on {box}, last at {last}: {', '.join(e.step for e in on)}")
    return told
