"""Daemons that stay on the host, and the programs in a jail that ask them."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def daemons_are_found_from_the_jail(site: Site, service: str) -> Iterator[Look]:
    """For each of these, see that it is a service of the site file, or that no site asks it."""
    known = ", ".join(site.jails[site.jail_of(service)].unreached) or "none"
    yield Look(f"sockstat -46lq -j 0 | grep -E '(127\\.|::1)'; echo 'unreached: {known}'", ANY)
    yield Look("sockstat -ulqw -j 0 | grep / || true", ANY)


def daemons_let_in_the_jail(site: Site, service: str) -> Iterator[Look]:
    """Of those that stay and that sites ask: each must let in the jail's address, too."""
    redis = "grep -nsE '^(protected-mode|requirepass)' /usr/local/etc/redis.conf"
    yield Look(f"{redis}; grep -s ^host /var/db/postgres/data*/pg_hba.conf || true", ANY)
