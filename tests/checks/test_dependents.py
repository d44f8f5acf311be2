"""What else on the host refers to a daemon: crontabs, newsyslog, hooks, scripts, other daemons."""

from __future__ import annotations

from typing import Any

from rollout.site import Site
from tests.checks import naming


def test_all_keep_working(host: Any, site: Site, service: str) -> None:
    """What names a daemon by its old place does not find it in the jail."""
    found = [each for each in naming.found(host, site, service) if each.stops]
    assert not found, "\n".join(map(str, found))


def test_none_are_found(host: Any, site: Site, service: str) -> None:
    """For a plan, which lists all that names the daemon: what keeps working, and what will not."""
    found = naming.found(host, site, service)
    assert not found, "\n".join(map(str, found))
