"""What a box requires of this machine: programs, and a place to keep images."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from rollout.errors import Refused

CACHE = Path("~/.cache/cellblock")


class Missing(Refused):
    """This machine cannot run a box; the text says what is missing."""


def require_tools(tools: Mapping[str, str]) -> None:
    """Raises Missing for programs that are not installed here, with their Debian packages."""
    absent = [f"{tool} (Debian: {package})" for tool, package in tools.items() if not has(tool)]
    if absent:
        raise Missing(f"not installed: {', '.join(absent)}", todo="install it, and try again")


def has(tool: str) -> bool:
    return shutil.which(tool) is not None
