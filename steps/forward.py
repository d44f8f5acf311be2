"""The ipfw rules that lead a service's public ports into its jail, in a set of its own."""

from __future__ import annotations

from operations import files, firewall
from rollout.site import Site
from rollout.step import Use, use
from steps.base import RULES


def rules(site: Site, service: str, *, localhost: bool = False) -> list[Use]:
    """The rules: live in a set that is still switched off, and on disk for the next boot.

    fwd carries TCP alone; the answers of a forwarded datagram would leave from the jail's address.
    With `localhost`, programs that say 127.0.0.1 reach the jail too: on the host, and in the other
    jails, where 127.0.0.1 means the jail's own address.
    """
    jail = site.jails[site.jail_of(service)]
    wan = site.host.wan_address
    bodies: list[str] = []
    for listen in site.services[service].ports:
        if listen.proto != "tcp":
            continue
        to = f"fwd {jail.address},{listen.port} tcp from any to"
        if listen.public:
            bodies.append(f"{to} {wan} {listen.port} in")
        if localhost:
            bodies.append(f"{to} 127.0.0.1 {listen.port}")
            bodies += [
                f"{to} {other.address} {listen.port}"
                for other in site.jails.values()
                if other is not jail
            ]
    number, set = site.places[service]
    lines = [f"add {number} set {set} {body}\n" for body in bodies]
    return [
        use(firewall.rules, number=number, set=set, bodies=bodies),
        use(files.put, path=f"{RULES}/{service}.rules", content="".join(lines)),
    ]
