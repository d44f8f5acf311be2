"""The ipfw rules that redirect a service's ports to its jail, in a set of their own.

A port that is not public is redirected only for programs of the host and the jails: what they send
to an address of the host comes in through lo0.

fwd works only for TCP: a forwarded datagram arrives, but its answer leaves from the jail's address,
and the client drops it (measured on 13.2). So UDP goes in, and its answers go out, through nat.
"""

from __future__ import annotations

from rollout.plan.step import Check, Use, check
from rollout.site import Listen, Site
from steps import ruleset


def rules(site: Site, service: str, *, localhost: bool = False) -> list[Use]:
    """The rules: live in a set that is still disabled, and on disk for the next boot.

    With `localhost`, programs that use 127.0.0.1 reach the jail, too: on the host, and in the other
    jails, where 127.0.0.1 means the jail's own address.
    """
    jail = site.jails[site.jail_of(service)]
    wan = site.host.wan_address
    bodies: list[str] = []
    for listen in site.services[service].ports:
        end = f"to {wan} {listen.port} {incoming(listen)}"
        if listen.proto == "udp":
            number = site.places[service].number
            bodies.append(f"nat {number} udp from not {site.lan.network} {end}")
            continue
        bodies.append(f"fwd {jail.address},{listen.port} tcp from any {end}")
        if localhost:
            bodies += _local(site, service, listen)
    return ruleset.waiting(site, service, bodies)


def incoming(listen: Listen) -> str:
    """The options of a rule that matches packets for a port of the host's address."""
    return "in" if listen.public else "in recv lo0"


def localhost(site: Site, service: str) -> list[Use]:
    """The same for 127.0.0.1 only, in a set of its own, which may be disabled later."""
    ports = site.services[service].ports
    bodies = [each for one in ports if one.proto == "tcp" for each in _local(site, service, one)]
    return ruleset.waiting(site, "localhost", bodies)


def _local(site: Site, service: str, listen: Listen) -> list[str]:
    """In the other jails 127.0.0.1 means the jail's own address."""
    jail = site.jails[site.jail_of(service)]
    to = f"fwd {jail.address},{listen.port} tcp from any to"
    others = [other for other in site.jails.values() if other is not jail]
    return [
        f"{to} {address} {listen.port}" for address in ("127.0.0.1", *(o.address for o in others))
    ]


def back(site: Site) -> list[Use]:
    """The rules in the other direction: 127.0.0.1 of a jail reaches what runs on the host.

    For a service that stays they stand in its place, which has no other rules. For one that moves
    later they stand behind all services: the rules of its cut-over are found first. TCP only, and
    only for what the jail itself sends.
    """
    found: list[Use] = []
    for name in site.staying:
        if bodies := _back(site, name):
            found += ruleset.part(site, name, bodies)
    moving = [name for name in site.services if name not in site.staying]
    later = [body for name in moving for body in _back(site, name)]
    return found + (ruleset.part(site, "back", later) if later else [])


def _back(site: Site, service: str) -> list[str]:
    others = [site.jails[name] for name in site.built if service not in site.jails[name].services]
    return [
        f"fwd 127.0.0.1,{port} tcp from {jail.address} to {jail.address} {port}"
        for port in site.services[service].tcp_ports
        for jail in others
    ]


def back_checks(site: Site, jail: str) -> list[Check]:
    """The jail reaches at 127.0.0.1 what stays, as far as the host does; later the policy rules."""
    until = "policy" if "policy" in site.order else None
    return [
        check("jail::reaches_localhost_of_the_host", until=until, jail=jail, service=name)
        for name in site.staying
        if site.services[name].tcp_ports
    ]


def answers(site: Site) -> list[Use]:
    """The rules that send answers of UDP services out with the public address, if there are any.

    In a set of their own that stays enabled: otherwise an answer would leave from the jail's
    address while a service's set is disabled. Not towards the LAN, whose clients asked the jail's
    address.
    """
    configs: dict[int, str] = {}
    bodies: list[str] = []
    for name in site.order:
        udp = _udp(site, name)
        if not udp:
            continue
        number, address = site.places[name].number, site.jails[site.jail_of(name)].address
        wan = site.host.wan_address
        # Not redirect_port: once libalias has forgotten a client's port, it does not send the next
        # query from that port to the jail (docs/decisions/0021).
        configs[number] = f"ip {wan} same_ports redirect_addr {address} {wan}"
        bodies += [
            f"nat {number} udp from {address} {port} to not {site.lan.network} out" for port in udp
        ]
    return ruleset.part(site, "answers", bodies, configs) if bodies else []


def _udp(site: Site, name: str) -> list[int]:
    ports = site.services[name].ports if name in site.services else ()
    return [listen.port for listen in ports if listen.proto == "udp"]
