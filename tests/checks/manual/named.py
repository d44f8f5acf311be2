"""BIND: whether two nameds may have its zones open at a time, and whom it answers for any name."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from operations.doors import Ways
from rollout.site import Site


def zones_may_be_open_twice(site: Site, service: str) -> Iterator[Look]:
    """Read each line that it prints: none may be about a zone that named writes itself."""
    written = "type (secondary|slave|mirror|stub)|allow-update|update-policy|dnssec-policy"
    yield Look(
        f"named-checkconf -px | grep -E '{written}|inline-signing|allow-new-zones|catalog-zones'"
    )


def resolves_as_on_the_host(site: Site, service: str, ways: Ways) -> Iterator[Look]:
    """The rcode, and whether there is the flag ra, must be the same in all."""
    lan = site.jails[site.jail_of(service)].address
    for ask in ("drill @127.0.0.1", f"drill @{lan}", *_inside(site, service, f"@{lan}")):
        yield Look(f"{ask} . NS | head -n 2", ANY)


def programs_resolve_through_the_jail(site: Site, service: str, ways: Ways) -> Iterator[Look]:
    """The rcode, and whether there is the flag ra, must be the same in all."""
    wan = site.host.wan_address
    for ask in (f"drill @{wan}", "drill @127.0.0.1"):
        yield Look(f"{ask} . NS | head -n 2", ANY)


def _inside(site: Site, service: str, server: str) -> list[str]:
    """In the jails that are built before."""
    there = site.built[: site.built.index(site.jail_of(service))]
    return [f"jexec {name} drill {server}" for name in there]
