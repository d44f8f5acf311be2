"""Network: an address for each jail, and a firewall that can forward to the jails."""

from __future__ import annotations

from operations import address, files, firewall, rc
from operations.doors import Ways
from rollout.plan.step import Check, Step, check, use
from rollout.site import Site
from steps import forward, ruleset
from steps.base import FIREWALL, RULES
from steps.render import render

REQUIRES = ("base",)


def steps(site: Site) -> tuple[Step, ...]:
    jails = [site.jails[site.jail_of(name)] for name in site.order if name in site.services]
    addresses = [str(jail.address) for jail in jails]
    interface = site.lan.interface
    answers = forward.answers(site)
    lan = forward.lan(site)
    further = forward.further(site)
    return (
        Step(
            name="network",
            does="addresses of the jails; load ipfw",
            why="Gives each jail an address and loads ipfw, which will forward public ports to it.",
            operations=(
                use(address.cloned_interface, interface=interface),
                use(address.aliases, interface=interface, addresses=addresses, ways=further),
                use(firewall.loaded),
                use(
                    files.put,
                    path=FIREWALL,
                    content=render("network/cellblock_firewall", directory=RULES),
                    mode="555",
                ),
                use(rc.variable, name="cellblock_firewall_enable", value="YES"),
                # rc.firewall and most rule scripts begin with a flush, which removes our rules.
                use(rc.word, name="firewall_coscripts", value=FIREWALL),
                *answers,
                *lan,
            ),
            checks=(
                *(
                    check("network::interface_has_address", interface=interface, address=each)
                    for each in addresses
                ),
                check("network::ipfw_is_loaded"),
                check("service::script_is_enabled", script="cellblock_firewall"),
                check("network::rules_return_with_the_firewall", script=FIREWALL),
                *forward.lan_checks(site),
                *(_answers(site, further) if further else ()),
            ),
        ),
    )


def _answers(site: Site, ways: Ways) -> tuple[Check, ...]:
    interface = site.lan.interface
    return (
        ruleset.saved("answers"),
        *forward.checks(site, "answers", ways),
        check("network::further_addresses_are_there", interface=interface, ways=ways),
        check("network::further_addresses_only_answer", ways=ways),
    )
