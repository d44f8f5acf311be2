"""Reads a site file, or refuses it, naming file, key, value and what was expected."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rollout import SAMPLE
from rollout.errors import Refused
from rollout.site.contradictions import contradictions
from rollout.site.model import Site


def read(path: Path) -> Site:
    """Read a site file. Raises Refused naming file, key, value and what was expected."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(
            f"{path}: cannot be read: {error.strerror}",
            todo=f"begin with a copy of the sample, {SAMPLE}, which says what each key means",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise Refused(f"{path}: brackets are nested too deep to be read") from None
    return parse(data, path)


def parse(data: dict[str, Any], path: Path) -> Site:
    """The site of what a site file holds. `path` is that file, for messages; raises like read."""
    try:
        site = Site.model_validate(data)
    except ValidationError as error:
        raise Refused(
            f"{path}: {error.error_count()} value(s) are not as expected",
            evidence="\n".join(_told(data, item) for item in error.errors()),
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


def _told(data: Any, item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if re.search(r"client$|pass|secret|token", key, re.IGNORECASE):
        item = {**item, "input": "..."}  # it may be a secret, and this is told to logs, too
    if item["type"] == "extra_forbidden":
        return f"{key} = {item['input']!r}: unknown key"
    if item["type"] == "missing":
        return f"{key}: missing, and needed"
    return f"{key} = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}"
