"""Reads a site file, or refuses it, naming file, key, value and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rollout import SAMPLE
from rollout.errors import Refused
from rollout.site import toml
from rollout.site.contradictions import contradictions
from rollout.site.model import Site


def read(path: Path) -> Site:
    """Read a site file. Raises Refused naming file, key, value and what was expected."""
    return parse(
        toml.load(
            path, todo=f"begin with a copy of the sample, {SAMPLE}, which says what each key means"
        ),
        path,
    )


def parse(data: dict[str, Any], path: Path) -> Site:
    """The site of what a site file holds. `path` is that file, for messages; raises like read."""
    try:
        site = Site.model_validate(data)
    except ValidationError as error:
        raise Refused(
            f"{path}: {error.error_count()} value(s) are not as expected",
            evidence="\n".join(map(toml.problem, error.errors())),
            todo=f"see {SAMPLE}, which says what each key means",
        ) from None
    site = site.read_from(path)
    problems = list(contradictions(site))
    if problems:
        raise Refused(
            f"{path}: it contradicts itself",
            evidence="\n".join(problems),
            todo=f"see {SAMPLE}, which says what each key means",
        )
    return site
