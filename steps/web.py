"""Apache moves into its jail by overlap: the new one answers before the old one stops."""

from __future__ import annotations

from operations import firewall, rc
from rollout.site import Site
from rollout.step import Gate, Step, check, use
from steps import forward
from steps.thin import jail_steps

REQUIRES = ("network",)

_NAME = "web"


def steps(site: Site) -> tuple[Step, ...]:
    return (*jail_steps(site, _NAME), _standby(site), _cutover(site), _retire(site))


def _standby(site: Site) -> Step:
    service = site.services[_NAME]
    jail = site.jail_of(_NAME)
    return Step(
        name="web.standby",
        why="The jail's Apache answers on its own address while the host's goes on serving.",
        operations=(
            use(
                rc.jail_variable,
                name=service.rcvar,
                value="YES",
                jail=jail,
                root=site.root(jail),
                before="NO",
            ),
            # On the way back its requests may end before it goes.
            use(rc.start, script=service.rc, jail=jail, stop="onegracefulstop"),
        ),
        checks=(
            check("service::runs_in_jail", service=_NAME),
            check("service::returns_at_boot_in_jail", service=_NAME),
            check("service::answers_on_the_lan", service=_NAME),
            check("preflight::daemon_runs", until="web.retire", service=_NAME),
        ),
    )


def _cutover(site: Site) -> Step:
    switch = site.places[_NAME].set
    return Step(
        name="web.cutover",
        why="New connections go to the jail from one moment on; those under way are not touched.",
        operations=(*forward.rules(site, _NAME), use(firewall.switch, set=switch)),
        checks=(
            check("network::set_is_on", set=switch),
            check("service::answers_from_jail", service=_NAME),
        ),
    )


def _retire(site: Site) -> Step:
    service = site.services[_NAME]
    return Step(
        name="web.retire",
        why="The host's Apache lets its last requests end, stops, and stays down at the next boot.",
        operations=(
            use(rc.variable, name=service.rcvar, value="NO"),
            use(rc.stop, script=service.rc, stop="onegracefulstop"),
        ),
        checks=(
            check("service::does_not_run_on_host", service=_NAME),
            check("service::answers_from_jail", service=_NAME),
        ),
        gate=Gate(
            question="Does the web look right from outside, served by the jail?",
            look_at=("your own sites in a browser", "the error log of the jail's Apache"),
        ),
    )
