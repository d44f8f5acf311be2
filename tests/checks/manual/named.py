"""BIND: whether two nameds may have its zones open at a time."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from rollout.site import Site


def zones_may_be_open_twice(site: Site, service: str) -> Iterator[Look]:
    """Read each line that it prints: none may be about a zone that named writes itself."""
    written = "type (secondary|slave|mirror|stub)|allow-update|update-policy|dnssec-policy"
    yield Look(
        f"named-checkconf -px | grep -E '{written}|inline-signing|allow-new-zones|catalog-zones'"
    )
