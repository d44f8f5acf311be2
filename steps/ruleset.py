"""The ipfw rules of one part: live, and on disk for the next boot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from operations import files, firewall
from rollout.plan.step import Check, Use, check, use
from rollout.site import Site
from steps.base import RULES


def waiting(
    site: Site, name: str, bodies: Sequence[str], nats: Mapping[int, str] | None = None
) -> list[Use]:
    """The rules, in a set that is still disabled, and the nat instances that they use.

    `nats` is number -> configuration.
    """
    number, set = site.places[name]
    configs = nats or {}
    lines = [f"nat {n} config {config}\n" for n, config in configs.items()]
    lines += [f"add {number} set {set} {body}\n" for body in bodies]
    return [
        *(
            use(firewall.nat, number=instance, config=config)
            for instance, config in configs.items()
        ),
        use(firewall.rules, number=number, set=set, bodies=bodies),
        use(files.put, path=f"{RULES}/{name}.rules", content="".join(lines)),
    ]


def part(
    site: Site, name: str, bodies: Sequence[str], nats: Mapping[int, str] | None = None
) -> list[Use]:
    """The same, enabled at once: for a part that is not a service."""
    return [*waiting(site, name, bodies, nats), use(firewall.switch, set=site.places[name].set)]


def checks(site: Site, name: str) -> tuple[Check, ...]:
    set = site.places[name].set
    return (
        check("network::ipfw_set_is_enabled", set=set),
        check("network::ipfw_rules_are_saved_for_boot", part=name, path=f"{RULES}/{name}.rules"),
    )
