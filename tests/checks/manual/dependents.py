"""What else on the host refers to a daemon."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from rollout.site import Site
from tests.checks.naming import CALLED, PLACES, daemon_words, own, words


def all_keep_working(site: Site, service: str) -> Iterator[Look]:
    """Without comments and the daemons' own files; a person has to judge the rest."""
    yield Look(_naming(site, daemon_words(site.services[service])))


def none_are_found(site: Site, service: str) -> Iterator[Look]:
    yield Look(_naming(site, words(site.services[service])))


def _naming(site: Site, wanted: list[str]) -> str:
    patterns = " ".join(f"-e '{word}'" for word in wanted)
    ours = " ".join(f"-e '^{path}'" for path in own(site))
    return (
        f"grep -D skip -rnIsF {patterns} {PLACES} $({CALLED}) | grep -v {ours} "
        "| grep -v ':[0-9]*:[[:space:]]*#' | cut -d: -f1,2"
    )
