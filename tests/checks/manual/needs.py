"""What a service's daemon needs."""

from __future__ import annotations

from collections.abc import Iterator

from operations import rc
from operations.command import ANY, Look
from rollout.site import Site


def are_met(site: Site, service: str) -> Iterator[Look]:
    """Its files, sockets and ports, and what its rc variables name: the jail must have each."""
    ports = ",".join(map(str, sorted({each.port for each in site.services[service].ports})))
    pids = f"sockstat -46lq -j 0 -p {ports} | awk '{{print $(NF - 4)}}' | sort -u"
    yield Look(f"procstat -f $({pids}) | awk '$4 ~ /[vsf]/ && $5 != \"c\"'", ANY)
    yield Look(rc.variables(site.services[service].rcvar), ANY)


def none_are_there(site: Site, service: str) -> Iterator[Look]:
    """The same list, which a plan prints with what becomes of each."""
    yield from are_met(site, service)
