"""What a service's daemon needs."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from rollout.site import Site
from tests.checks.manual.preflight import needs_are_met


def none_are_there(site: Site, service: str) -> Iterator[Look]:
    """The same list, which a plan prints with what becomes of each."""
    yield from needs_are_met(site, service)
