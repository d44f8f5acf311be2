"""What users have in MySQL counts for their disk quota."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from operations.quota import once
from rollout.site import Site
from tests.checks.test_quota import database_question


def databases_have_accounts(site: Site, directory: str) -> Iterator[Look]:
    """Each is named after an account, or begins with its name and a _; except MySQL's own."""
    yield Look(database_question(directory), ANY)


def databases_belong_to_their_accounts(site: Site, script: str) -> Iterator[Look]:
    yield Look(f"{once(script)} give && sh {script} wrong")
