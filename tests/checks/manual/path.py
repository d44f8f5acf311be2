"""Files and directories on the host."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def is_a_directory(site: Site, path: str) -> Iterator[Look]:
    yield Look(f"ls -ld {path}", f"d{ANY} {path}")


def exists(site: Site, path: str) -> Iterator[Look]:
    yield Look(f"ls -d {path}", path)


def is_absent(site: Site, path: str) -> Iterator[Look]:
    yield Look(f"ls -d {path}", f"{ANY} No such file or directory")
