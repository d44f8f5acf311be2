"""The names of a site's steps, for completion: a TAB must not wait until pyinfra is imported.

They are kept in the user's cache under a hash of what they come from: the text of the site file,
and the files of this program. So what is kept is never old.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from rollout.errors import CellblockError

_PROGRAM = Path(__file__).parents[2]


def of(site: Path) -> list[str]:
    """The names in the order of the plan; none if there is no plan for the site file."""
    try:
        if not site.is_file():
            return []
        kept = _cache() / f"steps-{_hash(site)}"
    except OSError:
        return []
    with suppress(OSError):
        return kept.read_text(encoding="utf-8").split()
    names = _made(site)
    if names:
        _keep(kept, names)
    return names


def _made(site: Path) -> list[str]:
    from rollout import plan  # here, since importing it takes longer than printing --help
    from rollout import site as site_file

    try:
        return [step.name for step in plan.make(site_file.read(site)).steps]
    except CellblockError:
        return []


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cellblock"


def _hash(site: Path) -> str:
    found = sha256(site.read_bytes())
    for folder in ("rollout/plan", "rollout/site", "steps"):
        for file in sorted((_PROGRAM / folder).glob("*.py")):
            state = file.stat()
            found.update(f"{file} {state.st_mtime_ns} {state.st_size}".encode())
    return found.hexdigest()[:32]


def _keep(kept: Path, names: list[str]) -> None:
    """In place of those of an earlier state of the site file."""
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        for old in kept.parent.glob("steps-*"):
            old.unlink(missing_ok=True)
        new = kept.with_name(f".{kept.name}.{os.getpid()}")
        new.write_text("\n".join(names), encoding="utf-8")
        new.replace(kept)
