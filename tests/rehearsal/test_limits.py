"""Limits of a jail on the stand-in: from its first process on, after a boot, and gone with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import plan, usage
from rollout.errors import Refused, RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.site.limits import Limits
from standin.samples.base_host import BaseHost
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

GIVEN = {
    **{"memory": "512M", "swap": "1G", "processes": 100, "cpu": 150, "open_files": 5000},
    **{"read_bytes": "20M", "write_bytes": "10M", "read_operations": 200, "write_operations": 100},
}
LIMITS = Limits.model_validate({**GIVEN, "cpus": "1"})
RULES = {
    "jail:mysql:memoryuse:deny=536870912",
    "jail:mysql:swapuse:deny=1073741824",
    "jail:mysql:maxproc:deny=100",
    "jail:mysql:pcpu:deny=150",
    "jail:mysql:openfiles:deny=5000",
    "jail:mysql:readbps:throttle=20971520",
    "jail:mysql:writebps:throttle=10485760",
    "jail:mysql:readiops:throttle=200",
    "jail:mysql:writeiops:throttle=100",
}
OTHERS = "user:root:maxproc:log=4000"
COUNTS = "kern.racct.enable=1"


def planned(**more: str) -> Plan:
    """`more` are parameters of the jail."""
    made = ordered("mysql").site
    limited = made.jails["mysql"].model_copy(update={"limits": LIMITS, "parameters": more})
    jails = {**made.jails, "mysql": limited}
    return plan.make(made.model_copy(update={"jails": jails}))


def rules(box: Box) -> set[str]:
    return set(typed(box, "rctl").split())


def test_a_kernel_that_does_not_count_is_refused_with_the_line(tmp_path: Path) -> None:
    made = planned()
    generic = BaseHost.sample()
    with standin_box(made.site, tmp_path, generic) as box, runner(made, box) as running:
        with pytest.raises(Refused, match=rf"put the line {COUNTS} into /boot/loader.conf and"):
            running.apply()
        assert not typed(box, "ls /usr/jails 2>/dev/null || true")


def test_limits_hold_from_the_first_process_on_and_end_with_the_jail(tmp_path: Path) -> None:
    made = planned()
    with standin_box(made.site, tmp_path) as box:
        typed(box, f"rctl -a {OTHERS}")
        with runner(made, box) as running:
            running.apply()
            assert rules(box) == {*RULES, OTHERS}
            assert "mask: 1\n" in typed(box, "cpuset -g -j mysql")
            [used] = usage.read(made.site, running.session.output, 0)
            assert used["processes"] > 1
            assert min(used["memory"], used["disk"]) > 2**19
            typed(box, "service jail onestop mysql")
            assert rules(box) == {OTHERS}
            typed(box, "service jail onestart mysql")
            assert rules(box) == {*RULES, OTHERS}
        host(box).power_off()
        host(box).boot()
        assert rules(box) == RULES
        with runner(made, box) as running:
            assert not [each for each in running.verify() if not each.passed]
            typed(box, f"rctl -a {OTHERS}")
            running.rollback()
        assert rules(box) == {OTHERS}


def test_rules_are_gone_when_the_jail_could_not_start(tmp_path: Path) -> None:
    """jail(8) runs no exec.poststop of a jail that it could not create (startcommands there)."""
    made = planned(**{"exec.poststart": "false"})
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box) as running, pytest.raises(RolledBack, match=r"mysql\.jail"):
            running.apply()
        assert rules(box) == set()


def test_limits_of_others_are_refused(tmp_path: Path) -> None:
    made = planned()
    with standin_box(made.site, tmp_path) as box:
        typed(box, "rctl -a jail:mysql:maxproc:deny=7; echo j:mysql:pcpu:deny=5 > /etc/rctl.conf")
        with (
            runner(made, box) as running,
            pytest.raises(Refused, match=r"j:mysql:pcpu:deny=5 \(/etc/rctl.conf:1\), jail:mysql"),
        ):
            running.apply()
        assert rules(box) == {"jail:mysql:maxproc:deny=7"}
