"""What was told, on the operator's machine, and what of a watch is new, told again, or over."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from rollout.errors import Refused
from rollout.monitoring.finding import Finding, Looked, kind
from rollout.site import Site


class Known(BaseModel):
    """A finding of an earlier watch. `told` is None if it could not be told."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    says: str
    detail: str = ""
    since: AwareDatetime
    told: AwareDatetime | None = None


State = Mapping[str, Known]
"""Id -> what is open."""
_STATE = TypeAdapter(dict[str, Known])


@dataclass(frozen=True)
class Changes:
    """What is to be told: `new`, `again` (told before, and still so), and by its id what is `over`.

    `open` is all that there is now, with the time since when; `ignored` are ids that the site file
    does not want to hear of. `after` is the state once all of it was told, and `untold` if that
    failed.
    """

    new: tuple[Finding, ...] = ()
    again: tuple[Finding, ...] = ()
    over: State = field(default_factory=dict)
    open: Mapping[Finding, datetime] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    after: State = field(default_factory=dict)
    untold: State = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.new or self.again or self.over)


def compare(site: Site, state: State, looked: Looked, now: datetime) -> Changes:
    """What has changed since the state was kept. What could not be asked now stays as it was."""
    ignores = site.watch.ignores
    again_after = timedelta(hours=site.watch.again_hours)
    state = {id: each for id, each in state.items() if not ignores(id)}
    found = {each.id: each for each in looked.findings if not ignores(each.id)}
    kept = {id: each for id, each in state.items() if kind(id) not in looked.asked}
    new, again = [], []
    after, untold = {**kept}, {**state}
    for id, each in found.items():
        before = state.get(id)
        since = before.since if before else now
        told = before.told if before else None
        if before is None or told is None or before.detail != each.detail:
            new.append(each)
            told = None
        elif again_after and now - told >= again_after:
            again.append(each)
        quiet = told is not None and each not in again
        known = Known(says=each.says, detail=each.detail, since=since, told=told)
        after[id] = known if quiet else known.model_copy(update={"told": now})
        untold[id] = known
    return Changes(
        tuple(new),
        tuple(again),
        {id: each for id, each in state.items() if id not in after},
        {each: after[each.id].since for each in found.values()},
        tuple(each.id for each in looked.findings if each.id not in found),
        after,
        untold,
    )


def place(site: Site) -> Path:
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return state / "cellblock" / f"watched-{site.name}-{site.host.address}.json"


def read(path: Path) -> State:
    """Raises Refused for a file that cannot be read."""
    try:
        return _STATE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise Refused(
            f"{path}: what earlier watches told cannot be read",
            evidence=str(error),
            todo="move the file away: what is found then is told once more",
        ) from None


def keep(path: Path, state: State) -> None:
    """Raises Refused if it cannot be written."""
    half = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(_STATE.dump_json(dict(state), indent=1))
        half.replace(path)
    except OSError as error:
        raise Refused(
            f"{path}: what was told cannot be kept there: {error.strerror}",
            todo="make room, or set XDG_STATE_HOME to a directory that you may write",
        ) from None


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
