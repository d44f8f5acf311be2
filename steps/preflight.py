"""Preflight: is this the server that the site file describes, and is it well? Changes nothing."""

from __future__ import annotations

from rollout.site import Site
from rollout.step import Check, Step, check

REQUIRES: tuple[str, ...] = ()


def steps(site: Site) -> tuple[Step, ...]:
    checks: list[Check] = [
        check("preflight::is_a_freebsd_that_we_know"),
        check("preflight::we_are_root"),
        check("preflight::has_the_wan_address"),
        check("preflight::has_the_public_addresses_of_jails"),
    ]
    for name in site.order:
        if service := site.services.get(name):
            moved = f"{name}.cutover"
            checks.append(check("preflight::daemon_runs", until=moved, service=name))
            checks.append(check("preflight::listens", until=moved, service=name))
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
    return (
        Step(
            name="preflight",
            why="Nothing is begun on a server that is not the one described, or is not well.",
            operations=(),
            checks=tuple(checks),
        ),
    )
