"""Logs of a service that moved."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from operations.facts import NEWSYSLOG, of_logs, within
from rollout.site import Site


def are_rotated_once(site: Site, service: str) -> Iterator[Look]:
    daemon = site.services[service]
    logs = [*daemon.log_files, *(f"{each}/" for each in (*daemon.logs, *daemon.data))]
    yield Look(within(of_logs(logs, "ours($1)"), " ".join(NEWSYSLOG)))


def are_readable_on_the_host(site: Site, service: str) -> Iterator[Look]:
    jail = site.jail_of(service)
    for log in site.services[service].log_files:
        yield Look(f"ls -l {log}", f"{ANY} -> {site.shown(jail, log)}")
