"""What a jail may take at most: the host can limit it, nobody else does, and it is in force."""

from __future__ import annotations

import re
from typing import Any

from operations.needs import Running
from rollout.site import Site

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
