"""Traffic: ipfw rules that count how much each jail sends and receives."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.errors import Refused
from rollout.plan.step import Step
from rollout.site import Site
from steps import forward, ruleset

REQUIRES = ("network",)

_NAME = "traffic"


def steps(site: Site) -> tuple[Step, ...]:
    if not site.built:
        raise Refused(
            f'{site.path}: order: "traffic" has nothing to count, since no service moves',
            evidence=site.order_line,
        )
    return (
        Step(
            name=_NAME,
            does="count the packets of each jail",
            why="Adds ipfw rules that only count, to show how much each jail sends and receives.",
            operations=tuple(ruleset.part(site, _NAME, list(_bodies(site)))),
            checks=ruleset.checks(site, _NAME),
        ),
    )


def _bodies(site: Site) -> Iterator[str]:
    """The comment of a rule names the jail for which it counts; cellblock usage sums by it.

    On lo0 a packet passes twice, out and then in; each direction is counted once. A forwarded
    connection has the public address and port at both ends.
    """
    wan, interface = site.host.wan_address, site.host.wan_interface
    for name in site.built:
        own = ",".join(map(str, site.jails[name].addresses))
        yield f"count ip from any to {own} in // {name} received"
        yield f"count ip from {own} to any out // {name} sent"
    # To ipfw the addresses of the jails are the host's, too: what goes there is counted already.
    end, jails = f"skipto {site.places[_NAME].number + 1} ip", forward.not_the_hosts(site)
    yield f"{end} from any to {jails} in"
    yield f"{end} from {jails} to any out"
    for name in site.built:
        for service in site.jails[name].services:
            for listen in site.services[service].ports:
                if listen.public and service in site.order:
                    port = f"{site.services[service].reached_at} {listen.port}"
                    yield f"count {listen.proto} from any to {port} in // {name} received"
                    if listen.proto == "tcp":
                        yield f"count tcp from {port} to any out // {name} sent"
    if any(site.jails[name].outbound == "nat" for name in site.built):
        # Until nat has translated it back, an answer does not show its jail.
        yield f"count ip from any to {wan} 32768-65535 in recv {interface} // by-nat received"
