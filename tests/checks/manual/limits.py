"""What a jail may take at most."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def can_be_set(site: Site) -> Iterator[Look]:
    yield Look("sysctl -n kern.racct.enable", "1")


def are_not_set_by_others(site: Site, jail: str) -> Iterator[Look]:
    """Nothing is printed."""
    yield Look(f"rctl jail:{jail}; grep -s '^j.*:{jail}:' /etc/rctl.conf")


def host_has_the_cpus(site: Site, jail: str) -> Iterator[Look]:
    last = site.jails[jail].limits.numbers[-1]
    yield Look(f"[ $(sysctl -n hw.ncpu) -gt {last} ] && echo yes", "yes")


def leave_room_for_what_runs_now(site: Site, jail: str) -> Iterator[Look]:
    """How much the daemons' processes have, with those of the same user; each below its limit."""
    limits = site.jails[jail].limits
    users = ",".join(dict.fromkeys(site.services[e].user for e in site.jails[jail].services))
    listed = f"ps -J 0 -U {users} -o rss="
    for limit, awk in ((limits.processes, "n += 1"), (limits.memory, "n += $1 * 1024")):
        if limit is not None:
            yield Look(f"{listed} | awk '{{{awk}}} END {{print (n < {limit})}}'", "1")


def are_in_force(site: Site, jail: str) -> Iterator[Look]:
    """Each rule of the site file has a line."""
    limits = site.jails[jail].limits
    for rule in limits.rules(jail):
        yield Look(f"rctl jail:{jail} | grep -xF {rule}", rule)
    if limits.cpus:
        mask = ", ".join(map(str, limits.numbers))
        yield Look(f"cpuset -g -j {jail} | head -n 1", f"jail {ANY} mask: {mask}")
