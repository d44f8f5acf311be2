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


def disks_can_be_made(site: Site) -> Iterator[Look]:
    """The kind of the file system, and whether it has the room."""
    mib = sum(jail.limits.disk_mib or 0 for jail in site.jails.values()) + site.run.free_space_mib
    above = f"$(ls -d {site.base.jails} 2>/dev/null || echo /)"
    df = f"df -k {above} | awk 'NR == 2 {{print ($4 >= {mib * 1024})}}'"
    yield Look(df, "1")
    at = f"$(df {above} | awk 'NR == 2 {{print $6}}')"
    yield Look(f"mount -p | awk -v at={at} '$2 == at {{print $3}}'", "ufs")


def disk_holds_what_is_copied(site: Site, jail: str) -> Iterator[Look]:
    """MiB of what is copied; the disk has twice as many at least."""
    words = " ".join(site.configuration(jail))
    most = (site.jails[jail].limits.disk_mib or 0) // 2
    yield Look(f"du -skLxc {words} /etc | awk 'END {{print ($1 / 1024 < {most})}}'", "1")


def disk_is_mounted(site: Site, jail: str) -> Iterator[Look]:
    image, script = site.disk(jail) or ("", "")
    yield Look(f"mdconfig -l -f {image}", f"md{ANY}")
    yield Look(
        f"mount -p | awk '$2 == \"{site.base.jails}/{jail}\"'",
        f"/dev/md{ANY} {site.base.jails}/{jail} ufs {ANY}",
    )
    yield Look(f"test -x {script} && echo yes", "yes")


def all_that_it_writes_is_apart(site: Site, jail: str) -> Iterator[Look]:
    """Where these are mounted: on no file system with anybody else's."""
    yield Look(f"df {' '.join(site.written(jail))} / /var/db")
