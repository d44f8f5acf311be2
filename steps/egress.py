"""Egress: how connections that jails open leave the host: not at all, by nat, or unchanged."""

from __future__ import annotations

from operations import firewall, offload
from operations.doors import Exits, Tried, Ways
from rollout.errors import Refused
from rollout.plan.step import Check, Gate, Step, check, use
from rollout.site import Site
from steps import forward, ruleset
from steps.base import RULES, until_policy

REQUIRES = ("network",)

_NAME = "egress"
# libalias takes ports of the public address from 32768 on.
_TAKEN = (32768, 65535)


def steps(site: Site) -> tuple[Step, ...]:
    if not site.built:
        raise Refused(
            f'{site.path}: order: "egress" has nothing to do, since no service moves',
            evidence=site.order_line,
        )
    natted = any(site.jails[name].outbound == "nat" for name in site.built)
    wan = site.host
    boot = f"{RULES}/{_NAME}.ifconfig"
    off = [use(offload.off, interface=wan.wan_interface, at_boot=boot)] if natted else []
    place = site.places[_NAME]
    return (
        Step(
            name=_NAME,
            does="nat for connections out of jails",
            why="Jails with outbound = nat connect out from the public address; jails with none "
            "cannot connect out. TSO and LRO are disabled, since nat cannot translate their "
            "segments.",
            operations=(
                *off,
                use(
                    firewall.opened,
                    set=place.set,
                    ways=ways(site),
                    path=f"{RULES}/{_NAME}.rules",
                    fixed=[(place.number, body) for body in bodies(site)],
                ),
                use(firewall.switch, set=place.set),
            ),
            checks=(
                ruleset.saved(_NAME),
                *forward.checks(site, _NAME, ways(site)),
                *_checks(site, natted, boot),
            ),
        ),
    )


def shut_in(site: Site, service: str) -> Gate | None:
    """A stop before a jail is built whose daemons open connections themselves, but could not.

    `service` is the first in its jail. None if the jail can connect out, or its daemons only
    answer.
    """
    name = site.jail_of(service)
    jail = site.jails[name]
    losses = {
        "bind": f"BIND: its notifies come from {jail.address}, so secondaries that expect "
        f"{site.host.wan_address} refuse them; it cannot fetch zones or resolve names for clients",
        "mail": "mail: messages to other hosts stay in the queue",
    }
    lost = [losses[each] for each in jail.services if each in losses]
    led_out = _NAME in site.order[: site.order.index(service)]
    if not lost or jail.outbound == "public" or (jail.outbound == "nat" and led_out):
        return None
    wanting = (
        'outbound = "none"' if jail.outbound == "none" else f'no "{_NAME}" before it in `order`'
    )
    return Gate(
        question="This jail will not be able to open connections to other hosts. Is that intended?",
        look_at=(
            f"jails.{name}: {wanting}",
            *lost,
            f'if not: set outbound = "nat", and put "{_NAME}" before it in `order`',
        ),
    )


def bodies(site: Site) -> list[str]:
    """The rules with the number of this part: before all rules of the host's own."""
    interface, address = site.host.wan_interface, site.host.wan_address
    found = []
    if site.egress.probe_port:
        port, jail = site.egress.probe_port, site.jails[site.built[0]].address
        found.append(f"fwd {jail},{port} tcp from any to {address} {port} in")
    for name in site.built:
        jail_ = site.jails[name]
        if jail_.outbound == "nat":
            continue
        answers = ",".join(map(str, forward.udp_ports(site, name)))
        if not answers:
            found.append(f"deny ip from {jail_.address} to any out xmit {interface}")
            continue
        # The answers of its services get the public address in a later rule.
        found += [
            f"deny {proto} from {jail_.address}{ports} to any out xmit {interface}"
            for proto, ports in (("tcp", ""), ("udp", f" not {answers}"), ("icmp", ""))
        ]
    return found


def ways(site: Site) -> Ways:
    """The jails that connect out by nat.

    No nat rule for them matches a packet whose source is the host's own address. One that did would
    also translate the answers of forwarded connections: these did not come in through nat, so they
    would get another port, and the client would drop them.
    """
    jails = [name for name in site.built if site.jails[name].outbound == "nat"]
    exits = Exits(
        jails=tuple(
            (str(site.jails[name].address), ",".join(map(str, forward.udp_ports(site, name))))
            for name in jails
        ),
        nat=site.places[_NAME].number,
        interface=site.host.wan_interface,
        ports=_ports(site),
    )
    tried = (Tried(site.egress.probe_port, exits.nat),) if site.egress.probe_port else ()
    return Ways(_NAME, (*((exits,) if jails else ()), *tried), forward.beside(site))


def _ports(site: Site) -> str:
    """Those of libalias without those of services, as ipfw writes them."""
    low, high = _TAKEN
    served = sorted(
        {
            listen.port
            for name in site.order
            if name in site.services
            for listen in site.services[name].ports
        }
    )
    ranges = []
    for port in [each for each in served if each >= low]:
        ranges += [(low, port - 1)] if port > low else []
        low = port + 1
    ranges.append((low, high))
    return ",".join(f"{start}-{end}" for start, end in ranges if start <= end)


def _checks(site: Site, natted: bool, boot: str) -> list[Check]:
    found = []
    if natted:
        found.append(check("egress::offload_is_off", at_boot=boot))
        found.append(check("egress::nat_skips_the_hosts_own_packets"))
        if site.egress.peer:
            # Once the policy is in force, a jail may no longer connect to any port it likes.
            found.append(check("egress::upload_works", until=until_policy(site)))
    if site.egress.probe_port:
        found.append(check("egress::download_works"))
    return found
