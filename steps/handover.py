"""How a service moves if two daemons cannot run side by side: one stop, one start, same files."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from operations import daemon, files, rc
from rollout.plan.step import Check, Step, Use, check, use
from rollout.site import Site
from steps import dependents, forward
from steps.base import RULES, starts_at_boot


def link_at_boot(name: str) -> str:
    """The file on the host that names a service's link to its jail's socket.

    The boot empties /var/run of the host, and so removes the link. Of a memory disk it removes the
    directory, too, which the service's user needs after a rollback.
    """
    return f"{RULES}/{name}.links"


def cutover(
    site: Site,
    name: str,
    *,
    does: str,
    why: str,
    rules: Sequence[Use],
    sets: Sequence[int],
    before: Sequence[Use] = (),
    twin: daemon.Twin | None,
    logs: Sequence[str] = (),
    until: str | None = None,
    checks: Sequence[Check],
    outage: float,
    tell: tuple[str, ...],
) -> Step:
    """Everything that can be done before the stop is done before: the gap is within one command.

    `sets` are switched on in it, whose `rules` are there by then; `before` runs last before it.
    `logs` are patterns in the jail besides those of the site file. The host's socket is a link to
    the jail's up to the step `until`.
    """
    service, jail = site.services[name], site.jail_of(name)
    socket, shown = service.socket, site.shown_socket(name)
    owner = service.user if service.user != "root" else ""
    return Step(
        name=f"{name}.cutover",
        does=does,
        why=why,
        operations=(
            *rules,
            starts_at_boot(site, jail, service.rcvar),
            use(rc.variable, name=service.rcvar, value="NO"),
            *(
                [
                    use(
                        files.put,
                        path=link_at_boot(name),
                        content=f"{shown} {socket} {service.user}\n",
                    )
                ]
                if socket and shown
                else []
            ),
            *before,
            use(
                daemon.handover,
                script=service.rc,
                jail=jail,
                sets=sets,
                link=(socket, shown) if socket and shown else None,
                user=owner,
                logs=(
                    *logs,
                    *(f"{quote(each)}/*" for each in service.logs),
                    *map(quote, service.log_files),
                ),
                ports=service.tcp_ports,
                twin=twin,
                limit=service.stop_within,
            ),
            *dependents.asked(site, name),
            *dependents.moved_logs(site, name),
        ),
        checks=(
            check("service::runs_in_jail", service=name),
            check("service::does_not_run_on_host", service=name),
            check("service::starts_at_boot_in_jail", service=name),
            check("service::answers_from_jail", service=name),
            *forward.answer_checks(site, name, until),
            *checks,
            *([check("service::socket_is_the_jails", until=until, service=name)] if socket else []),
            *dependents.asked_checks(site, name),
            *dependents.logs_checks(site, name),
        ),
        gate=dependents.gate(site, name),
        finds=dependents.found(name),
        outage={name: outage},
        tell=tell,
    )
