"""Preflight: is this the server that the site file describes, and is it well? Changes nothing."""

from __future__ import annotations

import importlib

from rollout.plan.step import Check, Step, check
from rollout.site import Site

REQUIRES: tuple[str, ...] = ()


def _more(site: Site, name: str) -> tuple[Check, ...]:
    """What a subject wants to know besides before anything begins: its own `preflight`."""
    subject = importlib.import_module(f"steps.{name}")
    return subject.preflight(site) if hasattr(subject, "preflight") else ()


def steps(site: Site) -> tuple[Step, ...]:
    checks: list[Check] = [
        check("preflight::is_a_freebsd_that_we_know"),
        check("preflight::we_are_root"),
        check("preflight::has_the_wan_address"),
        check("preflight::has_the_public_addresses_of_jails"),
    ]
    for name in site.order:
        checks += _more(site, name)
        if service := site.services.get(name):
            moved = f"{name}.cutover"
            checks.append(check("preflight::daemon_runs", until=moved, service=name))
            checks.append(check("preflight::listens", until=moved, service=name))
            checks.append(check("preflight::no_port_is_left_behind", until=moved, service=name))
            checks.append(
                check("preflight::no_ipv6_clients_are_left_behind", until=moved, service=name)
            )
            if service.configtest:
                checks.append(check("preflight::configuration_is_right", until=moved, service=name))
            checks += [
                check("preflight::data_has_room", until=moved, directory=path)
                for path in service.data
            ]
            checks += [
                check("preflight::configuration_is_there", until=moved, path=path)
                for path in service.configuration
            ]
    checks += _accounts(site)
    return (
        Step(
            name="preflight",
            does="check the host; changes nothing",
            why="Nothing is begun on a server that is not the one described, or is not well.",
            operations=(),
            checks=tuple(checks),
        ),
    )


def _accounts(site: Site) -> list[Check]:
    """Of each range of uids that a jail in the order gets."""
    jails = [site.jails[site.jail_of(name)] for name in site.order if name in site.services]
    ranges = dict.fromkeys(jail.uids for jail in jails if jail.uids is not None)
    questions = ("have_a_uid_of_their_own", "have_plain_names", "have_homes")
    return [check(f"accounts::{each}", uids=uids) for uids in ranges for each in questions]
