"""What else on the host names a daemon."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from rollout.site import Site
from tests.checks.test_dependents import PLACES, own, words


def nothing_names_the_daemon(site: Site, service: str) -> Iterator[Look]:
    """Comments and the daemons' own files are left out; the rest is for a person to judge."""
    patterns = " ".join(f"-e '{word}'" for word in words(site.services[service]))
    ours = " ".join(f"-e '^{path}'" for path in own(site))
    yield Look(
        f"grep -rnIsF {patterns} {PLACES} | grep -v {ours} | grep -v ':[0-9]*:[[:space:]]*#' "
        "| cut -d: -f1,2"
    )
