"""MySQL moves into its jail: one stop, one start, on the same files."""

from __future__ import annotations

from shlex import quote

from operations import data
from rollout.plan.step import Check, Step, check, use
from rollout.site import Site
from steps import forward, handover
from steps.thin import jail_steps

REQUIRES = ("network",)

_NAME = "mysql"


def preflight(site: Site) -> tuple[Check, ...]:
    """What must be right on the host before anything begins."""
    until = "mysql.cutover"
    tests = (
        "server_uses_the_data_of_the_site_file",
        "addresses_are_the_jails",
        "binary_logs_have_names_of_their_own",
        "is_one_server",
        "names_of_clients_are_found",
        "accounts_known_by_the_socket_are_in_the_jail",
        "files_by_path_are_in_the_jail",
    )
    return tuple(check(f"mysql::{each}", until=until, service=_NAME) for each in tests)


def steps(site: Site) -> tuple[Step, ...]:
    return (*jail_steps(site, _NAME), _cutover(site))


def _cutover(site: Site) -> Step:
    service, jail = site.services[_NAME], site.jail_of(_NAME)
    later = "mysql.retire" if "mysql_by_name" in site.order else None
    return handover.cutover(
        site,
        _NAME,
        does="MySQL stops here, starts in its jail",
        why="Two daemons cannot share a data directory, so the host's MySQL stops and the jail's "
        "starts on the same files, on the host itself, without waiting for the network.",
        rules=(
            *forward.rules(site, _NAME, localhost=False),
            *forward.localhost(site, _NAME),
        ),
        sets=[site.places[name].set for name in (_NAME, "localhost")],
        before=[use(data.flushed, client=service.client)] if service.client else [],
        twin=data.same_databases(service.client, jail) if service.client else None,
        logs=[f"{quote(each)}/*.err" for each in service.data],
        until=later,
        checks=(
            check("mysql::jails_server_uses_the_hosts_data", service=_NAME),
            *forward.checks(site, _NAME, forward.ways(site, _NAME, localhost=False)),
            *forward.checks(site, "localhost", forward.localhost_ways(site, _NAME), later),
        ),
        outage=15.0,
        tell=("owners of backups and jobs on the host: MySQL now runs in its jail",),
    )
