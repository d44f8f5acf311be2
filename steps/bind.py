"""BIND moves into its jail by overlap, over TCP and UDP; the jail serves only with its zones."""

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
            why="The jail's named loads the zones and answers on its own address, while the host's "
            "named keeps serving clients.",
            then=[use(named.zones_in_jail, jail=name, **where)],
            until="bind.retire",
            checks=[check("service::leaves_the_jails_address_free", service=_NAME)],
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


def _resolver(site: Site, address: str) -> Step:
    return Step(
        name="bind.resolver",
        does="the host resolves through the jail",
        why="The server itself uses the jail's named, before its own named stops.",
        operations=(
            use(
                files.line,
                path="/etc/resolv.conf",
                old="nameserver 127.0.0.1",
                new=f"nameserver {address}",
            ),
        ),
        checks=(
            check("name::can_be_looked_up_on_host", name=site.services[_NAME].ports[0].name or "."),
        ),
    )
