"""What is in place on the host."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def is_directory(site: Site, path: str) -> Iterator[Look]:
    yield Look(f"ls -ld {path}", f"d{ANY} {path}")


def is_enabled_script(site: Site, script: str) -> Iterator[Look]:
    yield Look(f"service {script} enabled && echo enabled", "enabled")


def is_there(site: Site, path: str) -> Iterator[Look]:
    yield Look(f"ls -d {path}", path)


def is_absent(site: Site, path: str) -> Iterator[Look]:
    yield Look(f"ls -d {path}", f"{ANY} No such file or directory")
