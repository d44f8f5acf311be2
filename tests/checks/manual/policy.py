"""Every connection that [policy] allows or denies, tried from inside the jails."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from rollout.site import PROTOS, Site
from tests.checks.test_policy import pairs_of

_WAIT = {"tcp": "nc -z -w 5", "udp": "nc -z -u -w 2"}


def is_enforced_for_every_pair(site: Site) -> Iterator[Look]:
    """One line per jail: it tries all connections at once and prints those that succeed."""
    tried = list(dict.fromkeys(pairs_of(site)))
    for jail in site.built:
        for proto in PROTOS:
            mine = [each for each in tried if (each.jail, each.proto) == (jail, proto)]
            if not mine:
                continue
            to = " ".join(f"{each.address}:{each.port}" for each in mine)
            let = sorted(f"{each.address}:{each.port}" for each in mine if each.allowed)
            ask = f"jexec {jail} {_WAIT[proto]} ${{to%:*}} ${{to#*:}} >/dev/null 2>&1"
            yield Look(
                f"(for to in {to}; do ({ask} && echo $to) & done; wait) | LC_ALL=C sort",
                " ".join(let),
            )
