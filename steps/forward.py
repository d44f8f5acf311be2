"""The ipfw rules that redirect a service's ports to its jail, in a set of their own.

A port that is not public is redirected only for programs of the host and the jails: what they send
to an address of the host comes in through lo0.

fwd works only for TCP: a forwarded datagram arrives, but its answer leaves from the jail's address,
and the client drops it (measured on 13.2). So UDP goes in, and its answers go out, through nat.
"""

from __future__ import annotations

from operations import firewall
from rollout.plan.step import Use, use
from rollout.site import Listen, Site
from steps import ruleset
from steps.base import RULES


def rules(site: Site, service: str, *, localhost: bool = False) -> list[Use]:
    """The rules: live in a set that is still disabled, and on disk for the next boot.

    With `localhost`, programs that use 127.0.0.1 reach the jail, too: on the host, and in the other
    jails, where 127.0.0.1 means the jail's own address.
    """
    jail = site.jails[site.jail_of(service)]
    number, to = site.places[service].number, site.services[service].reached_at
    local: list[str] = []
    bodies: list[str] = []
    for listen in site.services[service].ports:
        end = f"to {to} {listen.port} {incoming(listen)}"
        if localhost:
            local += _local(site, service, listen)
        if listen.proto == "udp":
            bodies.append(f"nat {number} udp from not {site.lan.network} {end}")
            continue
        bodies.append(f"fwd {jail.address},{listen.port} tcp from any {end}")
        if listen.public:
            # A stateful firewall never saw the client's first packet, so it would drop the answer.
            bodies.append(f"allow tcp from {to} {listen.port} to any out established")
    if to == "me":
        # To ipfw every address of the host is "me", those of the jails and 127.0.0.1, too.
        local.append(f"skipto {number + 1} ip from any to {not_the_hosts(site)},127.0.0.0/8 in")
    return ruleset.waiting(site, service, [*local, *bodies])


def not_the_hosts(site: Site) -> str:
    """The addresses of the jails, which the host's interfaces have."""
    public = [each for jail in site.jails.values() for each in jail.public_addresses]
    return ",".join(map(str, [site.lan.network, *public]))


def incoming(listen: Listen) -> str:
    """The options of a rule that matches packets for a port of the host's address."""
    return "in" if listen.public else "in recv lo0"


def localhost(site: Site, service: str) -> list[Use]:
    """The same for 127.0.0.1 only, in a set of its own, which may be disabled later."""
    ports = site.services[service].ports
    bodies = [each for one in ports if one.proto == "tcp" for each in _local(site, service, one)]
    return ruleset.waiting(site, "localhost", bodies)


def _local(site: Site, service: str, listen: Listen) -> list[str]:
    """In the other jails 127.0.0.1 means the jail's own address.

    Over UDP the client's address becomes the public one before the query goes in: the kernel would
    turn 127.0.0.1 into the jail's own address when the jail answers (docs/decisions/0026).
    """
    jail = site.jails[site.jail_of(service)]
    if listen.proto == "udp":
        nat, here = f"nat {site.places[service].number} udp from", f"127.0.0.1 {listen.port}"
        return [
            f"{nat} 127.0.0.1 to {here} out",
            f"{nat} {site.host.wan_address} to {here} in",
            f"{nat} {here} to {site.host.wan_address} in",
        ]
    to = f"fwd {jail.address},{listen.port} tcp from any to"
    others = [other for other in site.jails.values() if other is not jail]
    return [
        f"{to} {address} {listen.port}" for address in ("127.0.0.1", *(o.address for o in others))
    ]


def answers(site: Site) -> list[Use]:
    """The rules that send answers of UDP services out with the address that was asked, if any.

    In a set of their own that stays enabled: otherwise an answer would leave from the jail's
    address while a service's set is disabled. Not towards the LAN, whose clients asked the jail's
    address.
    """
    nats: dict[int, tuple[str, tuple[str, ...]]] = {}
    bodies: list[str] = []
    for name in over_udp(site):
        udp = _udp(site, name)
        number, address = site.places[name].number, site.jails[site.jail_of(name)].address
        nats[number] = (str(address), tuple(map(str, site.services[name].addresses)))
        bodies += [
            f"nat {number} udp from {address} {port} to not {site.lan.network} out" for port in udp
        ]
    if not bodies:
        return []
    place = site.places["answers"]
    return [
        use(
            firewall.redirecting,
            number=place.number,
            set=place.set,
            bodies=bodies,
            nats=nats,
            wan=str(site.host.wan_address),
            apart=not_the_hosts(site).split(","),
            path=f"{RULES}/answers.rules",
        ),
        use(firewall.switch, set=place.set),
    ]


def over_udp(site: Site) -> list[str]:
    """The services of the order that have a UDP port."""
    return [name for name in site.order if _udp(site, name)]


def _udp(site: Site, name: str) -> list[int]:
    ports = site.services[name].ports if name in site.services else ()
    return [listen.port for listen in ports if listen.proto == "udp"]
