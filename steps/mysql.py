"""MySQL moves into its jail: one stop, one start, on the same files."""

from __future__ import annotations

from shlex import quote

from operations import daemon, data, files, rc
from rollout.plan.step import Check, Step, Use, check, use
from rollout.site import Site
from steps import dependents, forward
from steps.base import RULES
from steps.thin import jail_steps

REQUIRES = ("network",)

_NAME = "mysql"

LINK_AT_BOOT = f"{RULES}/mysql.links"


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


def _link_at_boot(socket: str, target: str, owner: str) -> Use:
    """The boot empties /var/run of the host, and so removes the link to the jail's socket. Of a
    memory disk it removes the directory, too, which the `owner` needs after a rollback.
    """
    return use(files.put, path=LINK_AT_BOOT, content=f"{target} {socket} {owner}\n")


def _handed_over(site: Site) -> Use:
    service, jail = site.services[_NAME], site.jail_of(_NAME)
    shown = site.shown_socket(_NAME)
    return use(
        daemon.handover,
        script=service.rc,
        jail=jail,
        sets=[site.places[name].set for name in (_NAME, "localhost")],
        link=(service.socket, shown) if service.socket and shown else None,
        user=service.user if service.user != "root" else "",
        logs=(
            *(f"{quote(each)}/*.err" for each in service.data),
            *(f"{quote(each)}/*" for each in service.logs),
            *map(quote, service.log_files),
        ),
        ports=service.tcp_ports,
        twin=data.same_databases(service.client, jail) if service.client else None,
        limit=service.stop_within,
    )


def _cutover(site: Site) -> Step:
    service = site.services[_NAME]
    jail = site.jail_of(_NAME)
    root = site.root(jail)
    socket, shown = service.socket, site.shown_socket(_NAME)
    later = "mysql.retire" if "mysql_by_name" in site.order else None
    return Step(
        name="mysql.cutover",
        does="MySQL stops here, starts in its jail",
        why="Two daemons cannot share a data directory, so the host's MySQL stops and the jail's "
        "starts on the same files, on the host itself, without waiting for the network.",
        operations=(
            # Everything that can be done before the stop; the gap is within one command.
            *forward.rules(site, _NAME, localhost=False),
            *forward.localhost(site, _NAME),
            use(
                rc.jail_variable, name=service.rcvar, value="YES", jail=jail, root=root, before="NO"
            ),
            use(rc.variable, name=service.rcvar, value="NO"),
            *([_link_at_boot(socket, shown, service.user)] if socket and shown else []),
            *([use(data.flushed, client=service.client)] if service.client else []),
            _handed_over(site),
            *dependents.asked(site, _NAME),
            *dependents.moved_logs(site, _NAME),
        ),
        checks=(
            check("service::runs_in_jail", service=_NAME),
            check("service::does_not_run_on_host", service=_NAME),
            check("service::starts_at_boot_in_jail", service=_NAME),
            check("service::answers_from_jail", service=_NAME),
            *forward.answer_checks(site, _NAME, later),
            check("mysql::jails_server_uses_the_hosts_data", service=_NAME),
            *(
                [check("service::socket_is_the_jails", until=later, service=_NAME)]
                if socket
                else []
            ),
            *forward.checks(site, _NAME, forward.ways(site, _NAME, localhost=False)),
            *forward.checks(site, "localhost", forward.localhost_ways(site, _NAME), later),
            *dependents.asked_checks(site, _NAME),
            *dependents.logs_checks(site, _NAME),
        ),
        gate=dependents.gate(site, _NAME),
        finds=dependents.found(_NAME),
        outage={_NAME: 15.0},
        tell=("owners of backups and jobs on the host: MySQL now runs in its jail",),
    )
