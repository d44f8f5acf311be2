"""Names: who resolves them, and that they are there."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def host_resolves(site: Site, name: str) -> Iterator[Look]:
    yield Look(f"host -t SOA {name}", f"{ANY} SOA {ANY}")


def resolves_on_host(site: Site, name: str, address: str) -> Iterator[Look]:
    yield Look(f"getent hosts {name}", f"{address} {ANY}")


def resolves_in_jail(site: Site, jail: str, name: str, address: str) -> Iterator[Look]:
    yield Look(f"jexec {jail} getent hosts {name}", f"{address} {ANY}")


def answers(site: Site, name: str, port: int) -> Iterator[Look]:
    yield Look(f"nc -z -w 10 {name} {port} && echo it answers", f"{ANY}it answers")


def localhost_is_closed(site: Site, port: int) -> Iterator[Look]:
    yield Look(f"nc -z -w 10 127.0.0.1 {port} || echo closed", f"{ANY}closed")
