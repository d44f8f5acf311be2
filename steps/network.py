"""Network: an address of its own for each jail, and a firewall that can forward to them."""

from __future__ import annotations

from operations import address, files, firewall, rc
from rollout.plan.step import Step, check, use
from rollout.site import Site
from steps import forward
from steps.base import RULES
from steps.render import render

REQUIRES = ("base",)

_SCRIPT = "/usr/local/etc/rc.d/cellblock_firewall"


def steps(site: Site) -> tuple[Step, ...]:
    jails = [site.jails[site.jail_of(name)] for name in site.order if name in site.services]
    addresses = [str(jail.address) for jail in jails]
    interface = site.lan.interface
    answers = forward.answers(site)
    return (
        Step(
            name="network",
            does="addresses of the jails; load ipfw",
            why="Jails answer on addresses of their own; the public ports are forwarded to them.",
            operations=(
                use(address.cloned_interface, interface=interface),
                use(address.aliases, interface=interface, addresses=addresses),
                use(firewall.loaded),
                use(
                    files.put,
                    path=_SCRIPT,
                    content=render("network/cellblock_firewall", directory=RULES),
                    mode="555",
                ),
                use(rc.variable, name="cellblock_firewall_enable", value="YES"),
                *answers,
            ),
            checks=(
                *(
                    check("network::has_address", interface=interface, address=each)
                    for each in addresses
                ),
                check("network::ipfw_is_loaded"),
                check("files::is_enabled_script", script="cellblock_firewall"),
                *([check("network::set_is_on", set=site.places["answers"].set)] if answers else []),
            ),
        ),
    )
