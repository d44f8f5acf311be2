"""What a jail may take at most: the host can limit it, nobody else does, and it is in force."""

from __future__ import annotations

import re
from collections.abc import Iterable
from shlex import quote
from typing import Any

from operations.needs import Running
from rollout.site import DISKS, Site
from tests.checks.filesystems import lines

RULES = (
    "file=$(sysrc -n rctl_rules 2>/dev/null || echo /etc/rctl.conf); "
    'awk \'!/^[ \\t]*(#|$)/ {print FILENAME ":" FNR, $1}\' $(ls "$file" 2>/dev/null) /dev/null; '
    "rctl 2>/dev/null | sed -e 's/^/rctl /'"
)
"""Each rule that is in force, and each that /etc/rc.d/rctl gives at boot: where, and the rule."""


def test_can_be_set(host: Any) -> None:
    """GENERIC counts only if the loader says so: options RACCT, RACCT_DEFAULT_TO_DISABLED."""
    counts = host.run("sysctl -n kern.racct.enable").stdout.strip()
    assert counts, (
        "the kernel cannot limit jails: sysctl knows no kern.racct.enable: expected a kernel with "
        "the options RACCT and RCTL, as GENERIC has them; or remove limits from the site file "
        "(cpus can stay)"
    )
    assert counts == "1", (
        f"the kernel does not count what jails take: kern.racct.enable is {counts}, which can be "
        "changed only by a restart: put the line kern.racct.enable=1 into /boot/loader.conf and "
        "restart the host; or remove limits from the site file (cpus can stay)"
    )


def test_are_not_set_by_others(host: Any, jail: str) -> None:
    """Two hands that limit one jail would undo each other's rules."""
    rows = [row.rsplit(" ", 1) for row in host.check_output(f"({RULES}) || true").splitlines()]
    found = [
        f"{rule} ({where})"
        for where, rule in rows
        if re.match(rf"j(ail)?:{re.escape(jail)}:", rule, re.IGNORECASE)
    ]
    assert not found, (
        f"jail {jail} has limits that the site file does not say: {', '.join(found)}: the kernel "
        f"keeps one of two for the same resource: put it into jails.{jail}.limits, and remove it "
        "there"
    )


def test_host_has_the_cpus(host: Any, site: Site, jail: str) -> None:
    """A jail that is bound to a CPU which is not there does not start."""
    there = int(host.check_output("sysctl -n hw.ncpu"))
    limits = site.jails[jail].limits
    lost = [str(each) for each in limits.numbers if each >= there]
    assert not lost, (
        f'jails.{jail}.limits.cpus = "{limits.cpus}": the host has no CPU {", ".join(lost)}; it '
        f"has {there}, from 0 to {there - 1}"
    )


def test_leave_room_for_what_runs_now(host: Any, running: Running, site: Site, jail: str) -> None:
    """By the kernel's own measure: what processes share is in each one's memory."""
    limits = site.jails[jail].limits
    services = [site.services[each] for each in site.jails[jail].services]
    names = ", ".join(site.jails[jail].services)
    ports = {each.port for service in services for each in service.ports}
    pids = running.processes(ports, {each.rc for one in services for each in one.companions})
    said = host.run("ps -o rss= -p %s", ",".join(pids)).stdout.split() if pids else []
    has = {"processes": len(said), "memory": sum(map(int, said)) * 1024}
    low = [
        f"{key} = {wanted}: the daemons of {names} have {has[key]} on the host now"
        for key in has
        if (wanted := getattr(limits, key)) is not None and wanted <= has[key]
    ]
    assert not low, (
        f"jails.{jail}.limits.{f'; jails.{jail}.limits.'.join(low)}: expected more than their "
        "busiest hour takes"
    )


def test_are_in_force(host: Any, site: Site, jail: str) -> None:
    limits = site.jails[jail].limits
    wanted = limits.rules(jail)
    has = host.run("rctl jail:%s", jail).stdout.split() if wanted else []
    lost = [each for each in wanted if each not in has]
    assert not lost, (
        f"jail {jail} is not limited as the site file says: rctl lacks {', '.join(lost)}; it has "
        f"{', '.join(has) or 'none'}: restart the jail, which sets them; if a rule is lost again, "
        "somebody removes it (service rctl stop removes all)"
    )
    mask = host.run("cpuset -g -j %s", jail).stdout.partition("mask:")[2].partition("\n")[0]
    cpus = tuple(int(each) for each in re.findall(r"\d+", mask))
    assert not limits.numbers or cpus == limits.numbers, (
        f"jail {jail} may use CPUs {', '.join(map(str, cpus)) or 'unknown'}: expected "
        f"{', '.join(map(str, limits.numbers))} (cpuset -g -j {jail})"
    )


_NEAREST = 'while [ ! -e "$at" ]; do at=${at%/*}; at=${at:-/}; done'
_HOLDS = "$(df -k \"$at\" | awk 'NR == 2 {print $4, $6}')"
"""Of the file system that has $at: the KiB that are free, and where it is mounted."""


def _holders(host: Any, places: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Path -> of the file system that has it, or will have it: MiB that are free, mount point."""
    words = " ".join(map(quote, dict.fromkeys(places)))
    said = host.check_output(
        f'for each in {words}; do at=$each; {_NEAREST}; echo "$each {_HOLDS}"; done'
    )
    rows = (line.split(maxsplit=2) for line in said.splitlines())
    return {path: (int(free) // 1024, at) for path, free, at in rows}


def test_disks_can_be_made(host: Any, site: Site) -> None:
    """Of their whole size at once, so that they never meet a full file system of the host's."""
    jails = [name for name in site.built if site.disk(name)]
    made = host.run("ls %s", f"{site.base.jails}/{DISKS}").stdout.split()
    mib = sum(site.jails[name].limits.disk_mib or 0 for name in jails if name not in made)
    mounted = lines(host.check_output("mount -p").splitlines())
    [(free, at)] = _holders(host, [site.base.jails]).values()
    kind = mounted.get(at, ["", "", ""])[2]
    assert kind == "ufs", (
        f"jails.{jails[0]}.limits.disk: {site.base.jails} is on {at}, of kind {kind or 'unknown'}, "
        "which may not keep the room of a file of zeros: remove disk, and give the jail a file "
        f"system with a quota, as zfs create -o quota=10G -o mountpoint={site.base.jails}/"
        f"{jails[0]} POOL/{jails[0]}; an empty one that is mounted there is used"
    )
    wanted = mib + site.run.free_space_mib
    assert free >= wanted, (
        f"limits.disk of {', '.join(jails)}: {wanted} MiB are needed on {at}, with "
        f"run.free_space_mib, and {free} MiB are free: make room, or choose smaller ones"
    )
    can = host.run("kldstat -q -m g_md || ls /boot/kernel/geom_md.ko /boot/modules/geom_md.ko")
    assert can.rc == 0 or ".ko" in can.stdout, (
        f"jails.{jails[0]}.limits.disk: the kernel has no md(4), and no module geom_md: remove disk"
    )


def test_disk_holds_what_is_copied(host: Any, site: Site, jail: str) -> None:
    """And as much again for what is written there: logs, /tmp, /var."""
    one = site.jails[jail]
    words = " ".join(map(quote, site.configuration(jail)))
    kib = sum(
        int(line.split()[0])
        for line in host.run(f"du -skLx {words} /etc 2>/dev/null").stdout.splitlines()
    )
    if one.software == "pkg":
        names = " ".join(map(quote, one.packages))
        sizes = host.run(f"pkg query %sb {names}").stdout.split()
        kib += 2 * sum(map(int, sizes)) // 1024  # the packages, and what is installed from them
    wanted = 2 * kib // 1024 + 1
    assert (one.limits.disk_mib or 0) >= wanted, (
        f"jails.{jail}.limits.disk = {one.limits.disk_mib} MiB: expected {wanted} MiB or more: "
        f"what is copied into the jail takes half of that"
    )


def test_disk_is_mounted(host: Any, site: Site, jail: str) -> None:
    home, (image, script) = f"{site.base.jails}/{jail}", site.disk(jail) or ("", "")
    row = lines(host.check_output("mount -p").splitlines()).get(home)
    again = f"service {script.rpartition('/')[2]} start, and start the jail"
    assert row is not None, f"{home}: no file system is mounted there: {again}"
    units = host.run("mdconfig -l -f %s", image).stdout.split()
    assert row[0] in [f"/dev/{each}" for each in units], (
        f"{home}: {row[0]} is mounted there; expected the file system in {image}"
    )
    assert host.run("test -x %s", script).rc == 0, (
        f"{script} is gone, or not executable: the file system of jail {jail} would not be there "
        "after a restart"
    )


def test_all_that_it_writes_is_apart(host: Any, site: Site, jail: str) -> None:
    """What a jail mounts writable stays where the host has it: its disk does not limit that."""
    own = site.written(jail)
    others = [path for name in site.built if name != jail for path in site.written(name)]
    holders = _holders(host, [*own, *others, "/", "/var/db", "/tmp", site.base.jails])  # the host's
    used = {at: path for path, (_, at) in reversed(holders.items()) if path not in own}
    found = [f"{path}: on {at} with {used[at]}" for path in own if (at := holders[path][1]) in used]
    assert not found, f"jail {jail} writes where others do: {'; '.join(found)}"
