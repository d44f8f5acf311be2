"""How a service moves if both daemons can run side by side: standby, cut-over, retirement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operations import companion, daemon, firewall, rc
from rollout.plan.step import Check, Gate, Step, Use, check, use
from rollout.site import Site
from steps import dependents, forward
from steps.base import starts_at_boot


def standby(
    site: Site,
    name: str,
    *,
    why: str,
    stop: str = "onestop",
    then: Sequence[Use] = (),
    until: str,
    checks: Sequence[Check] = (),
    gate: Gate | None = None,
) -> Step:
    """The jail's daemon runs on its LAN address while the host's daemon keeps serving clients.

    `stop` is the rc command that stops it in the undo. The host's daemon must run up to the step
    `until`.
    """
    service = site.services[name]
    jail = site.jail_of(name)
    test = service.configtest
    asked = [use(rc.configuration_is_right, jail=jail, command=test)] if test else []
    return Step(
        name=f"{name}.standby",
        does="start the jail's daemon, unused",
        why=why,
        operations=(
            *_companions_started(site, name),
            starts_at_boot(site, jail, service.rcvar),
            *asked,
            use(daemon.start, script=service.rc, jail=jail, stop=stop, limit=service.stop_within),
            *then,
        ),
        checks=(
            check("service::runs_in_jail", service=name),
            check("service::starts_at_boot_in_jail", service=name),
            check(
                "service::listens_on_the_jails_address",
                service=name,
                ways=forward.further(site, site.jail_of(name)),
            ),
            check("service::runs_on_host", until=until, service=name),
            *_companion_checks(site, name, "service::companions_run_in_jail"),
            *checks,
        ),
        gate=gate,
    )


def _companions_started(site: Site, name: str) -> Iterator[Use]:
    """Before the daemon that needs them."""
    jail = site.jail_of(name)
    for each in site.companions(name):
        yield from (
            use(companion.where_enabled, script=each.rc, then=then)
            for then in (
                starts_at_boot(site, jail, each.rcvar),
                use(daemon.start, script=each.rc, jail=jail),
            )
        )


def _companions_asked(site: Site, name: str) -> Iterator[Use]:
    for each in site.companions(name):
        asked = dependents.asked_in_jail(site.jail_of(name), each.rc, each.rcvar)
        yield use(companion.where_enabled, script=each.rc, then=asked)


def _companions_stopped(site: Site, name: str) -> Iterator[Use]:
    """On the host, after the daemon that needed them."""
    for each in site.companions(name):
        yield from (
            use(companion.where_enabled, script=each.rc, then=then)
            for then in (
                use(rc.variable, name=each.rcvar, value="NO"),
                use(daemon.stop, script=each.rc),
            )
        )


def _companion_checks(site: Site, name: str, test: str) -> list[Check]:
    return [check(test, service=name)] if site.companions(name) else []


def cutover(
    site: Site,
    name: str,
    *,
    why: str,
    before: Sequence[Use] = (),
    after: Sequence[Use] = (),
    checks: Sequence[Check] = (),
    tell: tuple[str, ...] = (),
) -> Step:
    """New connections go to the jail from one moment on."""
    switch = site.places[name].set
    return Step(
        name=f"{name}.cutover",
        does="new connections go to the jail",
        why=why,
        operations=(
            *forward.rules(site, name),
            *before,
            use(firewall.switch, set=switch),
            *after,
            *dependents.asked(site, name),
            *_companions_asked(site, name),
        ),
        checks=(
            *forward.checks(site, name, forward.ways(site, name)),
            check("service::answers_from_jail", service=name),
            *forward.answer_checks(site, name),
            *dependents.asked_checks(site, name),
            *checks,
        ),
        gate=dependents.gate(site, name),
        finds=dependents.found(name),
        tell=tell,
    )


def retire(
    site: Site,
    name: str,
    *,
    why: str,
    gate: Gate,
    tell: tuple[str, ...] = (),
    stop: str = "onestop",
    before: Sequence[Use] = (),
    checks: Sequence[Check] = (),
) -> Step:
    """The host's daemon stops and no longer starts at boot; `before` runs first."""
    service = site.services[name]
    return Step(
        name=f"{name}.retire",
        does="stop the host's daemon for good",
        why=why,
        operations=(
            use(rc.variable, name=service.rcvar, value="NO"),
            *before,
            use(
                daemon.stop,
                script=service.rc,
                stop=stop,
                ports=service.tcp_ports,
                limit=service.stop_within,
            ),
            *_companions_stopped(site, name),
            *dependents.moved_logs(site, name),
        ),
        checks=(
            check("service::does_not_run_on_host", service=name),
            *_companion_checks(site, name, "service::companions_do_not_run_on_host"),
            check("service::answers_from_jail", service=name),
            *dependents.logs_checks(site, name),
            *checks,
        ),
        gate=gate,
        tell=tell,
    )
