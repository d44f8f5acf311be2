"""The ipfw rules of one part: live, and on disk for the next boot."""

from __future__ import annotations

from collections.abc import Sequence

from operations import files, firewall
from rollout.plan.step import Check, Use, check, use
from rollout.site import Site
from steps.base import RULES


def part(site: Site, name: str, bodies: Sequence[str]) -> list[Use]:
    """The rules of a part that is not a service, enabled at once."""
    number, set = site.places[name]
    lines = [f"add {number} set {set} {body}\n" for body in bodies]
    return [
        use(firewall.rules, number=number, set=set, bodies=bodies),
        use(files.put, path=f"{RULES}/{name}.rules", content="".join(lines)),
        use(firewall.switch, set=set),
    ]


def checks(site: Site, name: str) -> tuple[Check, ...]:
    return (check("network::ipfw_set_is_enabled", set=site.places[name].set), saved(name))


def saved(name: str) -> Check:
    """The next boot loads the rules of this part as they are now."""
    return check("network::ipfw_rules_are_saved_for_boot", part=name, path=f"{RULES}/{name}.rules")
