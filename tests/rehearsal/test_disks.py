"""A jail's own file system on the stand-in: mounted, there after a boot, undone; ours or theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import plan
from rollout.errors import Refused
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.site.limits import Limits
from standin.samples.base_host import BaseHost
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

HOME = "/usr/jails/mysql"
IMAGE = "/usr/jails/.disks/mysql"
LEFT = "ls -d /usr/jails /usr/local/etc/rc.d/cellblock_disk_* 2>/dev/null || true; mdconfig -l"


def planned(disk: str | None = "64M") -> Plan:
    made = ordered("mysql").site
    limits = {"limits": Limits.model_validate({"disk": disk})}
    limited = made.jails["mysql"].model_copy(update=limits)
    return plan.make(made.model_copy(update={"jails": {**made.jails, "mysql": limited}}))


def mounted(box: Box) -> bool:
    rows = (line.split() for line in typed(box, "mount -p").splitlines())
    return any(row[:3] == ["/dev/md0", HOME, "ufs"] for row in rows)


def test_a_jail_has_its_own_file_system_until_it_is_undone(tmp_path: Path) -> None:
    made = planned()
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box) as running:
            running.apply()
        assert mounted(box)
        assert typed(box, f"stat -f '%Lp %z' {IMAGE}") == f"600 {64 << 20}\n"
        assert typed(box, f"ls {HOME}/root/etc/cron.d").split() == [
            "cellblock-full",
            "cellblock-newsyslog",
        ]
        host(box).power_off()
        host(box).boot()
        assert mounted(box)
        with runner(made, box) as running:
            assert not [each.name for each in running.verify() if not each.passed]
            running.rollback()
        assert typed(box, LEFT) == ""


def test_the_power_fails_between_the_disk_and_its_jail(tmp_path: Path) -> None:
    made = planned()
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box) as running:
            running.apply("mysql.disk")
        host(box).power_off()
        host(box).boot()
        assert mounted(box)
        with runner(made, box) as running:
            running.rollback()
        assert typed(box, LEFT) == ""
