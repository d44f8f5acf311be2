"""What else on the host names a daemon."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from operations.facts import NEWSYSLOG, of_logs, within
from rollout.site import Site
from tests.checks.naming import PLACES, daemon_words, own, words


def nothing_names_the_daemon(site: Site, service: str) -> Iterator[Look]:
    """Comments and the daemons' own files are left out; the rest is for a person to judge."""
    yield Look(_naming(site, daemon_words(site.services[service])))


def nothing_is_to_be_told(site: Site, service: str) -> Iterator[Look]:
    yield Look(_naming(site, words(site.services[service])))


def _naming(site: Site, wanted: list[str]) -> str:
    patterns = " ".join(f"-e '{word}'" for word in wanted)
    ours = " ".join(f"-e '^{path}'" for path in own(site))
    return (
        f"grep -rnIsF {patterns} {PLACES} | grep -v {ours} | grep -v ':[0-9]*:[[:space:]]*#' "
        "| cut -d: -f1,2"
    )


def service_is_asked_in_jail(site: Site, service: str) -> Iterator[Look]:
    script, jail = site.services[service].rc, site.jail_of(service)
    yield Look(
        f'[ "$(service {script} status)" = "$(service -j {jail} {script} status)" ] && echo same',
        "same",
    )


def logs_are_rotated_once(site: Site, service: str) -> Iterator[Look]:
    daemon = site.services[service]
    logs = [*daemon.log_files, *(f"{each}/" for each in (*daemon.logs, *daemon.data))]
    yield Look(within(of_logs(logs, "ours($1)"), " ".join(NEWSYSLOG)))


def logs_are_read_on_the_host(site: Site, service: str) -> Iterator[Look]:
    shown = site.shown_logs(site.jail_of(service))
    for log in site.services[service].log_files:
        yield Look(f"ls -l {log}", f"{ANY} -> {shown}/{log.removeprefix('/var/log/')}")
