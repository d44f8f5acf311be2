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


def patterns_are_of_one_service(site: Site, service: str) -> Iterator[Look]:
    """What it prints must fit logs of this service alone."""
    daemon = site.services[service]
    logs = [*daemon.log_files, *(f"{each}/" for each in (*daemon.logs, *daemon.data))]
    ours = of_logs(logs, "ours($1) && $1 ~ /[*?[]/ {print $1}")
    yield Look(within(ours, " ".join(NEWSYSLOG)), ANY)


def are_readable_on_the_host(site: Site, service: str) -> Iterator[Look]:
    jail = site.jail_of(service)
    for log in site.services[service].log_files:
        yield Look(f"ls -l {log}", f"{ANY} -> {site.shown(jail, log)}")


def messages_are_syslogds(_: Site) -> Iterator[Look]:
    yield Look('sockstat -ulq | awk \'$6 == "/var/run/log" && $2 != "syslogd"\'')
