"""What leads to the jail of a service, in an ipfw set of its own.

The rules stand directly before those of the host's own that let the same packets pass
(operations/placing.py, docs/decisions/0026). A port that is not public is redirected only for
programs of the host and the jails: what they send to an address of the host comes in through lo0.

fwd works only for TCP: a forwarded datagram arrives, but its answer leaves from the jail's address,
and the client drops it (measured on 13.2). So UDP goes in, and its answers go out, through nat.
"""

from __future__ import annotations

from typing import Literal

from operations import firewall
from operations.doors import Beside, Doors, Ways
from rollout.plan.step import Check, Use, check, use
from rollout.site import PARTS_BEFORE, Site
from steps import ruleset
from steps.base import RULES, until_policy


def rules(site: Site, service: str, *, localhost: bool = True) -> list[Use]:
    """The rules: live in a set that is still disabled, and on disk for the next boot.

    With `localhost`, programs that use 127.0.0.1 reach the jail, too: on the host, and in the other
    jails, where 127.0.0.1 means the jail's own address.
    """
    return [_opened(site, service, ways(site, service, localhost=localhost))]


def localhost(site: Site, service: str) -> list[Use]:
    """The same for 127.0.0.1 only, in a set of its own, which may be disabled later."""
    return [_opened(site, "localhost", localhost_ways(site, service))]


def _opened(site: Site, part: str, ways: Ways) -> Use:
    set, path = site.places[part].set, f"{RULES}/{part}.rules"
    return use(firewall.opened, set=set, ways=ways, path=path)


def ways(site: Site, service: str, *, localhost: bool = True) -> Ways:
    return Ways(service, (doors(site, service, "all", localhost=localhost),), beside(site))


def localhost_ways(site: Site, service: str) -> Ways:
    return Ways(f"{service} at 127.0.0.1", (doors(site, service, "localhost"),), beside(site))


def answers_ways(site: Site) -> Ways:
    each = tuple(doors(site, name, "answers") for name in over_udp(site))
    return Ways("answers over UDP", each, beside(site))


def further(site: Site, jail: str | None = None) -> Ways | None:
    """The ways by which it is known at which further addresses a jail answers over UDP, or any
    jail. None where none does.
    """
    names = [name for name in over_udp(site) if jail in (None, site.jail_of(name))]
    return answers_ways(site) if names else None


def checks(site: Site, part: str, ways: Ways, until: str | None = None) -> tuple[Check, ...]:
    """The set is in force, and the host's own rules still decide who gets in."""
    set = site.places[part].set
    return (check("network::the_hosts_rules_still_decide", until=until, set=set, ways=ways),)


def answer_checks(site: Site, service: str, until: str | None = None) -> tuple[Check, ...]:
    """The service answers from its jail wherever it did before; later the policy rules jails."""
    known = ways(site, service)
    denied = until or until_policy(site)
    return (
        check("service::answers_wherever_it_did", until=until, service=service, ways=known),
        check("service::answers_jails_at_localhost", until=denied, service=service, ways=known),
        *udp_checks(site, service),
    )


def udp_checks(site: Site, service: str) -> tuple[Check, ...]:
    """Over UDP the address that was asked answers, whatever the client asked before."""
    known = ways(site, service)
    test = "service::answers_from_the_address_asked"
    return (check(test, service=service, ways=known),) if _udp(site, service) else ()


def doors(
    site: Site,
    service: str,
    what: Literal["all", "localhost", "answers"],
    *,
    localhost: bool = True,
) -> Doors:
    name, table = site.jail_of(service), site.services[service]
    others = [str(jail.address) for other, jail in site.jails.items() if other != name]
    return Doors(
        what=what,
        jail=str(site.jails[name].address),
        nat=site.places[service].number,
        ports=tuple((each.proto, each.port, each.public) for each in table.ports),
        addresses=tuple(map(str, table.addresses)),
        others=tuple(others) if localhost else None,
        front=site.places["localhost" if what == "localhost" else service].number,
    )


def beside(site: Site) -> Beside:
    sets = [place.set for place in site.places.values()]
    jails = [jail.address for jail in site.jails.values()]
    return Beside(
        sets=(min(sets), max(sets)),
        floor=max(site.places[part].number for part in (*PARTS_BEFORE, "lan")),
        wan=str(site.host.wan_address),
        network=str(site.lan.network),
        apart=tuple(not_the_hosts(site).split(",")),
        taken=tuple(map(str, [*jails, *site.lan.resolvers])),
        front=site.places[PARTS_BEFORE[-1]].number,
    )


def not_the_hosts(site: Site) -> str:
    """The addresses of the jails, which the host's interfaces have."""
    public = [each for jail in site.jails.values() for each in jail.public_addresses]
    return ",".join(map(str, [site.lan.network, *public]))


def lan(site: Site) -> list[Use]:
    """The rules for what is sent to jails at their own addresses, where no service takes it.

    127.0.0.1 of a jail reaches what runs on the host. For a service that stays these rules stand in
    its place, which has no other rules. For one that moves later they stand behind all services:
    the rules of its cut-over are found first. TCP only, and only for what the jail itself sends.
    """
    found: list[Use] = []
    for name in site.staying:
        if bodies := _back(site, name):
            found += ruleset.part(site, name, bodies)
    bodies = _lan(site)
    return found + (ruleset.part(site, "lan", bodies) if bodies else [])


def lan_checks(site: Site) -> tuple[Check, ...]:
    return ruleset.checks(site, "lan") if _lan(site) else ()


def _lan(site: Site) -> list[str]:
    moving = [name for name in site.services if name not in site.staying]
    later = [body for name in moving for body in _back(site, name)]
    return [*later, *_over_their_loopback(site)]


def _over_their_loopback(site: Site) -> list[str]:
    """What the host and the jails send to a jail passes ipfw on the loopback that has its address
    (measured on 15.0), and most firewalls that deny by default let only lo0 pass. A packet from a
    network never passes there; jails that the host has of its own stay as they are.
    """
    interface = site.lan.interface
    if interface == "lo0" or not interface.startswith("lo"):
        return []
    jails = ",".join(str(site.jails[name].address) for name in site.built)
    return [f"allow ip from any to {jails} via {interface}"] if jails else []


def _back(site: Site, service: str) -> list[str]:
    others = [site.jails[name] for name in site.built if service not in site.jails[name].services]
    return [
        f"fwd 127.0.0.1,{port} tcp from {jail.address} to {jail.address} {port}"
        for port in site.services[service].tcp_ports
        for jail in others
    ]


def back_checks(site: Site, jail: str) -> list[Check]:
    """The jail reaches at 127.0.0.1 what stays, as far as the host does; later the policy rules."""
    until = until_policy(site)
    return [
        check("jail::reaches_localhost_of_the_host", until=until, jail=jail, service=name)
        for name in site.staying
        if site.services[name].tcp_ports
    ]


def answers(site: Site) -> list[Use]:
    """The rules that send answers of UDP services out with the address that was asked, if any.

    In a set of their own that stays enabled: otherwise an answer would leave from the jail's
    address while a service's set is disabled. Not towards the LAN, whose clients asked the jail's
    address.
    """
    if not over_udp(site):
        return []
    return [
        _opened(site, "answers", answers_ways(site)),
        use(firewall.switch, set=site.places["answers"].set),
    ]


def over_udp(site: Site) -> list[str]:
    """The services of the order that have a UDP port."""
    moved = [name for name in site.order if name in site.services]
    return [name for name in moved if _udp(site, name)]


def udp_ports(site: Site, jail: str) -> list[int]:
    """The UDP ports of the services of the order in a jail."""
    services = site.jails[jail].services
    return [port for name in services if name in site.order for port in _udp(site, name)]


def _udp(site: Site, service: str) -> list[int]:
    return [listen.port for listen in site.services[service].ports if listen.proto == "udp"]
