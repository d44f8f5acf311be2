"""What else on the host refers to a daemon."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from operations.doors import Ways
from rollout.site import Site
from tests.checks.naming import CALLED, PLACES, daemon_words, own, words


def all_keep_working(site: Site, service: str) -> Iterator[Look]:
    """Without comments and the daemons' own files; a person has to judge the rest."""
    yield Look(_naming(site, daemon_words(site.services[service])))


def none_are_found(site: Site, service: str) -> Iterator[Look]:
    yield Look(_naming(site, words(site.services[service])))


def nobody_is_shut_out(site: Site, service: str, ways: Ways) -> Iterator[Look]:
    """Other machines may reach what is listed, unless a rule of the host denies it."""
    private = [str(each.port) for each in site.services[service].ports if not each.public]
    yield Look(f"sockstat -4lq -j 0 -p {','.join(private)} | awk '$6 !~ /^127[.]/'")


def _naming(site: Site, wanted: list[str]) -> str:
    patterns = " ".join(f"-e '{word}'" for word in wanted)
    ours = " ".join(f"-e '^{path}'" for path in own(site))
    return (
        f"grep -D skip -rnIsF {patterns} {PLACES} $({CALLED}) | grep -v {ours} "
        "| grep -v ':[0-9]*:[[:space:]]*#' | cut -d: -f1,2"
    )
