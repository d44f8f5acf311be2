"""A part of our rule set that is no service: in force at once, and again after a reboot."""

from __future__ import annotations

from collections.abc import Sequence

from operations import files, firewall
from rollout.site import Site
from rollout.step import Check, Use, check, use
from steps.base import RULES


def part(site: Site, name: str, bodies: Sequence[str], nat: str | None = None) -> list[Use]:
    """Its rules, live and on disk, with the nat instance that they lead to, if they do."""
    number, set = site.places[name]
    lines = [f"nat {number} config {nat}\n"] if nat else []
    lines += [f"add {number} set {set} {body}\n" for body in bodies]
    return [
        *([use(firewall.nat, number=number, config=nat)] if nat else []),
        use(firewall.rules, number=number, set=set, bodies=bodies),
        use(files.put, path=f"{RULES}/{name}.rules", content="".join(lines)),
        use(firewall.switch, set=set),
    ]


def checks(site: Site, name: str) -> tuple[Check, ...]:
    set = site.places[name].set
    return (
        check("network::set_is_on", set=set),
        check("network::rules_return_at_boot", part=name, path=f"{RULES}/{name}.rules"),
    )
