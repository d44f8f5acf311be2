"""Reads a site file, or refuses it with file, key, value and what was expected."""

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
    """Read a site file. Raises Refused with file, key, value and what was expected."""
    return parse(
        toml.load(path, todo=f"begin with a copy of the sample, {SAMPLE}, which explains each key"),
        path,
    )


def parse(data: dict[str, Any], path: Path) -> Site:
    """The site from the data of a site file. `path` is that file, for messages. Raises as read."""
    try:
        site = Site.model_validate(data)
    except ValidationError as error:
        wrong = toml.problems(error.errors(), Site)
        raise Refused(
            f"{path}: {len(wrong)} value(s) are not as expected",
            evidence="\n".join(wrong),
            todo=f"see {SAMPLE}, which explains each key",
        ) from None
    site = site.read_from(path)
    problems = list(contradictions(site))
    if problems:
        raise Refused(
            f"{path}: it contradicts itself",
            evidence="\n".join(problems),
            todo=f"see {SAMPLE}, which explains each key",
        )
    return site
