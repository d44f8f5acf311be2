"""Host names: what they resolve to, on the host and in the jails."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def can_be_looked_up_on_host(site: Site, name: str, server: str) -> Iterator[Look]:
    yield Look(f"host -t SOA {name}", f"{ANY} SOA {ANY}")


def resolves_on_host(site: Site, name: str, address: str) -> Iterator[Look]:
    yield Look(f"getent hosts {name}", f"{address} {ANY}")


def resolves_in_jail(site: Site, jail: str, name: str, address: str) -> Iterator[Look]:
    yield Look(f"jexec {jail} getent hosts {name}", f"{address} {ANY}")
