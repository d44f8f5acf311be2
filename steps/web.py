"""Apache moves into its jail by overlap: the jail's answers before the host's stops."""

from __future__ import annotations

from rollout.plan.step import Check, Gate, Step, check
from rollout.site import Site
from steps import accounts, overlap
from steps.base import until_policy
from steps.thin import jail_steps

REQUIRES = ("network",)

_NAME = "web"
_STOP = "onegracefulstop"  # requests in progress may finish


def preflight(site: Site) -> tuple[Check, ...]:
    return (
        check("web::named_paths_are_in_the_jail", until="web.cutover", service=_NAME),
        check("web::local_backends_are_reached", until="web.cutover", service=_NAME),
        check("web::named_accounts_are_in_the_jail", until="web.cutover", service=_NAME),
        check("web::kernel_gives_the_jail_the_same", until="web.cutover", service=_NAME),
        check("web::no_page_asks_the_system_for_passwords", until="web.cutover", service=_NAME),
        check("web::files_beside_pages_name_what_the_jail_has", until="web.cutover", service=_NAME),
        check("web::links_to_pages_lead_into_the_jail", until="web.cutover", service=_NAME),
        check("web::scripts_find_what_is_beside_them", until="web.cutover", service=_NAME),
        check("staying::daemons_are_found_from_the_jail", until="web.cutover", service=_NAME),
        check("staying::daemons_let_in_the_jail", until="web.cutover", service=_NAME),
        *_clients(site),
    )


def steps(site: Site) -> tuple[Step, ...]:
    return (
        *jail_steps(site, _NAME),
        *accounts.handler_steps(site, _NAME),
        overlap.standby(
            site,
            _NAME,
            why="The jail's Apache answers on its own address while the host's keeps serving.",
            stop=_STOP,
            until="web.retire",
            checks=(
                check(
                    "web::jail_has_what_is_named", ahead=True, until="web.cutover", service=_NAME
                ),
                *_twins(site),
                *accounts.probes(site, _NAME),
            ),
            gate=Gate(
                question="People who are logged in to PHP sites will have to log in again. Go on?",
                look_at=("session.save_path in php.ini: where PHP keeps sessions now",),
                unless=(check("web::no_sessions_are_in_tmp"),),
            ),
        ),
        overlap.cutover(
            site,
            _NAME,
            why="New connections go to the jail from one moment on; open connections continue.",
        ),
        overlap.retire(
            site,
            _NAME,
            why="The host's Apache finishes its requests, stops, and no longer starts at boot.",
            stop=_STOP,
            tell=("editors of Apache's configuration: from now on edit the jail's copy",),
            gate=Gate(
                question="Do your web sites look right from outside, served by the jail?",
                look_at=("your own sites in a browser", "the error log of the jail's Apache"),
            ),
        ),
    )


def _twins(site: Site) -> tuple[Check, ...]:
    """What both daemons are asked while the host's still serves, and what programs ask MySQL."""
    jail, found = site.jail_of(_NAME), []
    if site.services[_NAME].pages:
        test = "web::jail_sends_the_same_pages"
        found.append(check(test, ahead=True, until="web.cutover", service=_NAME))
    if _asks_mysql(site):
        until = until_policy(site)
        found.append(check("mysql::programs_log_in", ahead=True, until=until, jail=jail))
    return tuple(found)


def _asks_mysql(site: Site) -> bool:
    """Whether pages in the jail may ask a MySQL outside of it."""
    return "mysql" in site.services and site.jail_of(_NAME) != site.jail_of("mysql")


def _clients(site: Site) -> tuple[Check, ...]:
    """Asked until MySQL moves, or programs log in from the jail."""
    if not _asks_mysql(site):
        return ()
    names = [name for name in site.order if name in ("mysql", _NAME)]
    until = "mysql.cutover" if names[0] == "mysql" else "web.standby"
    tests = ("mysql::programs_may_come_from_the_jail", "mysql::people_may_log_in_from_the_jail")
    return tuple(check(test, until=until, jail=site.jail_of(_NAME)) for test in tests)
