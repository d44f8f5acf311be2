"""BIND moves into its jail by overlap, over TCP and UDP; nobody is answered without its zones."""

from __future__ import annotations

from operations import files, named
from rollout.plan.step import Gate, Step, check, use
from rollout.site import Site
from steps import overlap
from steps.thin import jail_steps, local_etc

REQUIRES = ("network",)

_NAME = "bind"


def steps(site: Site) -> tuple[Step, ...]:
    name = site.jail_of(_NAME)
    service = site.services[_NAME]
    address = str(site.jails[name].address)
    where = {"public": str(site.host.wan_address), "address": address}
    fitted = use(
        named.readdressed,
        directory=local_etc(site, name),
        old=where["public"],
        new=address,
        lan=str(site.lan.network),
    )
    return (
        *jail_steps(site, _NAME, [fitted]),
        overlap.standby(
            site,
            _NAME,
            why="The jail's named has its zones and answers on its own address while the host's "
            "goes on serving.",
            then=[use(named.zones_in_jail, jail=name, **where)],
            until="bind.retire",
            checks=[check("service::host_leaves_the_jails_address", service=_NAME)],
        ),
        _resolver(site, address),
        overlap.cutover(
            site,
            _NAME,
            why="Questions go to the jail from one moment on, over TCP by fwd and over UDP by nat; "
            "dynamic updates wait meanwhile, so that both have the same zones.",
            localhost=True,
            before=[
                use(named.updates_held),
                use(named.zones_anew_in_jail, script=service.rc, jail=name, **where),
            ],
            after=[use(named.zones_on_the_way_back, script=service.rc, **where)],
            tell=("who sends dynamic updates: for the moment of the switch they are refused",),
        ),
        overlap.retire(
            site,
            _NAME,
            why="The host's named ends the transfers under way, stops, and stays down at the next "
            "boot.",
            before=[use(named.transfers_ended, ports=service.tcp_ports)],
            tell=("who runs the secondaries: transfers come from the jail, at the same address",),
            gate=Gate(
                question="Do names resolve from outside, served by the jail?",
                look_at=("a lookup from another network", "the secondaries' logs: transfers"),
            ),
        ),
    )


def _resolver(site: Site, address: str) -> Step:
    return Step(
        name="bind.resolver",
        does="the host resolves through the jail",
        why="The server itself asks the jail's named before its own one stops.",
        operations=(
            use(
                files.line,
                path="/etc/resolv.conf",
                old="nameserver 127.0.0.1",
                new=f"nameserver {address}",
            ),
        ),
        checks=(check("names::host_resolves", name=site.services[_NAME].ports[0].name or "."),),
    )
