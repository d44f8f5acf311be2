"""What people have in MySQL counts for their disk quota."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from operations.quota import once
from rollout.site import Site


def databases_belong_to_their_accounts(site: Site, script: str) -> Iterator[Look]:
    yield Look(f"{once(script)} give && sh {script} wrong")
