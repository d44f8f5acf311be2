"""Egress: how what jails begin themselves leaves the host: not at all, by nat, or as it is."""

from __future__ import annotations

from operations import offload
from rollout.errors import Refused
from rollout.plan.step import Check, Gate, Step, check, use
from rollout.site import Site
from steps import ruleset
from steps.base import RULES

REQUIRES = ("network",)

_NAME = "egress"
# libalias gives the public address's ports from 32768 on. What comes in below them is none of its
# business: nat ends the search, and the host's own rules stand behind ours.
_ANSWERS = "32768-65535 in recv"


def steps(site: Site) -> tuple[Step, ...]:
    if not site.built:
        raise Refused(
            f"{site.path}: order: 'egress' lets nobody out, since no service moves",
            evidence=f"order = {list(site.order)}",
        )
    natted = any(site.jails[name].outbound == "nat" for name in site.built)
    wan = site.host
    boot = f"{RULES}/{_NAME}.ifconfig"
    off = [use(offload.off, interface=wan.wan_interface, at_boot=boot)] if natted else []
    nats = {site.places[_NAME].number: f"ip {wan.wan_address}"} if natted else None
    return (
        Step(
            name=_NAME,
            does="nat for connections out of jails",
            why="Jails with nat go out under the public address, those with none not at all; "
            "segments are cut by the kernel, since nat cannot translate uncut ones.",
            operations=(*off, *ruleset.part(site, _NAME, bodies(site), nats)),
            checks=(*ruleset.checks(site, _NAME), *_checks(site, natted, boot)),
        ),
    )


def shut_in(site: Site, service: str) -> Gate | None:
    """A stop before the jail of `service`, its first, is built: its daemons open connections
    themselves, and could not.

    None where the jail has a way out, and for daemons that only answer.
    """
    name = site.jail_of(service)
    jail = site.jails[name]
    losses = {
        "bind": f"BIND: its notifies come from {jail.address}, and secondaries that know "
        f"{site.host.wan_address} refuse them; it fetches no zone and resolves nothing for others",
        "mail": "mail: what is for other hosts stays in the queue",
    }
    lost = [losses[each] for each in jail.services if each in losses]
    led_out = _NAME in site.order[: site.order.index(service)]
    if not lost or jail.outbound == "public" or (jail.outbound == "nat" and led_out):
        return None
    wanting = (
        'outbound = "none"' if jail.outbound == "none" else f"no {_NAME!r} before it in the order"
    )
    return Gate(
        question="No connection will lead out of this jail. Is that meant?",
        look_at=(
            f"jails.{name}: {wanting}",
            *lost,
            f'otherwise: outbound = "nat", and {_NAME!r} before it in the order',
        ),
    )


def bodies(site: Site) -> list[str]:
    """The rules. No nat rule here fits a packet that has the host's own address as its source.

    One that did would translate the answers of forwarded connections, too: they never came through
    nat on their way in, so they would get another port, and the client would drop them.
    """
    interface, address = site.host.wan_interface, site.host.wan_address
    number = site.places[_NAME].number
    found = []
    if site.egress.probe_port:
        port, jail = site.egress.probe_port, site.jails[site.built[0]].address
        found.append(f"fwd {jail},{port} tcp from any to {address} {port} in")
    natted = False
    for name in site.built:
        jail_ = site.jails[name]
        if jail_.outbound == "nat":
            natted = True
            found.append(
                f"nat {number} ip from {jail_.address} to not {site.lan.network} "
                f"out xmit {interface}"
            )
        else:
            found.append(f"deny ip from {jail_.address} to any out xmit {interface}")
    if natted:
        found += [
            f"nat {number} {proto} from any to {address} {_ANSWERS} {interface}"
            for proto in ("tcp", "udp")
        ]
        # Without "fragmentation needed" a transfer over a narrower path would stop in silence.
        found.append(
            f"nat {number} icmp from any to {address} in recv {interface} icmptypes 0,3,11"
        )
    return found


def _checks(site: Site, natted: bool, boot: str) -> list[Check]:
    found = []
    if natted:
        found.append(check("egress::offload_is_off", at_boot=boot))
        found.append(check("egress::nat_leaves_the_hosts_own_alone"))
        if site.egress.peer:
            # Once policy is in force, a jail may not open any port of anybody's any more.
            until = "policy" if "policy" in site.order else None
            found.append(check("egress::upload_flows", until=until))
    if site.egress.probe_port:
        found.append(check("egress::download_flows"))
    return found
