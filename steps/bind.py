"""BIND moves into its jail by overlap, over TCP and UDP; the jail serves only with its zones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from operations import daemon, named, rc
from rollout.errors import Refused
from rollout.plan.step import Check, Gate, Step, Use, check, use
from rollout.site import Site
from steps import dependents, egress, forward, overlap
from steps.base import until_policy
from steps.thin import jail_steps, local_etc

REQUIRES = ("network",)

_NAME = "bind"


def steps(site: Site) -> tuple[Step, ...]:
    name = site.jail_of(_NAME)
    service = site.services[_NAME]
    address = str(site.jails[name].address)
    if 53 not in {each.port for each in service.ports}:
        raise Refused(
            f"{site.path}: services.bind.ports: none is 53, at which Cellblock asks named for its "
            "zones and compares answers",
            todo="let named listen at port 53 of an address, too, or take bind out of `order`",
        )
    where: dict[str, str] = {"public": str(site.host.wan_address), "address": address}
    fitted = use(
        named.readdressed,
        directory=local_etc(site, name),
        old=where["public"],
        new=address,
        lan=str(site.lan.network),
        ways=forward.further(site, name),
    )
    if not service.overlap:
        return (
            *_jail(site, fitted),
            _handover(site, where),
            _resolver(site, address),
        )
    return (
        *_jail(site, fitted),
        overlap.standby(
            site,
            _NAME,
            why="The jail's named loads the zones and answers on its own address, while the host's "
            "named keeps serving clients.",
            then=[use(named.zones_in_jail, jail=name, **where)],
            until="bind.retire",
            checks=[
                check(
                    "service::leaves_the_jails_address_free",
                    service=_NAME,
                    ways=forward.further(site, site.jail_of(_NAME)),
                ),
                *_resolves(site),
            ],
        ),
        _resolver(site, address),
        overlap.cutover(
            site,
            _NAME,
            why="All DNS queries go to the jail from one moment on: TCP by an ipfw fwd rule, UDP "
            "by nat. Dynamic updates are refused meanwhile, so that both have the same zones.",
            before=[
                use(named.updates_held),
                use(named.zones_anew_in_jail, script=service.rc, jail=name, **where),
            ],
            after=[
                use(named.zones_on_the_way_back, script=service.rc, jail=name, **where),
                use(named.zones_for_clients, jail=name, **where),
            ],
            checks=[_resolved(site)],
            tell=(
                "senders of dynamic updates: updates are refused for a moment during the switch",
            ),
        ),
        overlap.retire(
            site,
            _NAME,
            why="The host's named finishes its transfers, stops, and no longer starts at boot.",
            before=[use(named.transfers_ended, ports=service.tcp_ports)],
            tell=("operators of secondaries: transfers come from the jail, at the same address",),
            gate=Gate(
                question="Do names resolve from outside, answered by the jail?",
                look_at=(
                    "a lookup from another network",
                    "zone transfers in the logs of the secondaries",
                ),
            ),
        ),
    )


def preflight(site: Site) -> tuple[Check, ...]:
    """What must be right on the host before anything begins."""
    if _NAME not in site.services:
        return ()
    tests = [
        "bind::configuration_is_the_one_that_is_read",
        "bind::servers_that_it_asks_are_not_at_localhost",
        "bind::servers_that_it_asks_are_reached",
        "bind::zone_files_are_the_hosts",
        "bind::programs_ask_it_over_ipv4",
        "bind::answers_by_who_asks",
        "bind::lets_in_the_same_clients",
    ]
    if site.services[_NAME].overlap:
        tests.append("named::zones_may_be_open_twice")
    asked: dict[str, Any] = {"until": "bind.cutover", "service": _NAME}
    further = forward.further(site, site.jail_of(_NAME))
    return (
        *(check(each, **asked) for each in tests),
        check("bind::addresses_are_the_jails", ways=further, **asked),
    )


def _jail(site: Site, fitted: Use) -> tuple[Step, ...]:
    """Built, with a named.conf that is compared with the host's before it is ever used."""
    until = "bind.cutover" if not site.services[_NAME].overlap else "bind.standby"
    same = check("bind::jail_lets_in_the_same_clients", until=until, service=_NAME)
    return tuple(
        replace(each, checks=(*each.checks, same)) for each in jail_steps(site, _NAME, [fitted])
    )


def _handover(site: Site, where: dict[str, str]) -> Step:
    service, jail = site.services[_NAME], site.jail_of(_NAME)
    switch = site.places[_NAME].set
    known = {"jail": jail, "root": site.root(jail)}
    test = service.configtest
    return Step(
        name="bind.cutover",
        does="BIND stops here, starts in its jail",
        why="Two nameds must not write one directory, so the host's named stops and the jail's "
        "starts on the same zones, journals and keys.",
        operations=(
            *forward.rules(site, _NAME, localhost=True),
            *([use(rc.configuration_is_right, jail=jail, command=test)] if test else []),
            use(rc.jail_variable, name=service.rcvar, value="YES", before="NO", **known),
            use(rc.variable, name=service.rcvar, value="NO"),
            use(
                daemon.handover,
                script=service.rc,
                jail=jail,
                sets=[switch],
                ports=service.tcp_ports,
                twin=named.same_zones(jail, where["public"], where["address"]),
                limit=service.stop_within,
            ),
            *dependents.asked(site, _NAME),
            *dependents.moved_logs(site, _NAME),
        ),
        checks=(
            check("service::runs_in_jail", service=_NAME),
            check("service::does_not_run_on_host", service=_NAME),
            check("service::starts_at_boot_in_jail", service=_NAME),
            check("service::answers_from_jail", service=_NAME),
            *forward.checks(site, _NAME, forward.ways(site, _NAME)),
            *forward.udp_checks(site, _NAME),
            *dependents.asked_checks(site, _NAME),
            *dependents.logs_checks(site, _NAME),
        ),
        gate=dependents.gate(site, _NAME),
        finds=dependents.found(_NAME),
        outage={_NAME: 15.0},
        tell=("operators of secondaries, and senders of dynamic updates: BIND restarts",),
    )


def _resolves(site: Site) -> list[Check]:
    """Without a way out the jail's named cannot: the gate before the jail says so."""
    if egress.shut_in(site, _NAME):
        return []
    test, ways = "named::resolves_as_on_the_host", forward.ways(site, _NAME)
    return [check(test, ahead=True, until="bind.cutover", service=_NAME, ways=ways)]


def _resolved(site: Site) -> Check:
    """The policy ends the direct question from the public address, which is compared with."""
    until = until_policy(site)
    test, ways = "named::programs_resolve_through_the_jail", forward.ways(site, _NAME)
    return check(test, until=until, service=_NAME, ways=ways)


def _resolver(site: Site, address: str) -> Step:
    return Step(
        name="bind.resolver",
        does="the host resolves through the jail",
        why="The server itself uses the jail's named, before its own named stops.",
        operations=(use(named.resolver, new=address),),
        checks=(
            check(
                "name::can_be_looked_up_on_host",
                name=site.services[_NAME].ports[0].name or ".",
                server=address,
            ),
        ),
    )
