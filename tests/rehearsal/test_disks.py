"""A jail's own file system on the stand-in: mounted, there after a boot, undone; ours or theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import plan
from rollout.errors import Refused
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.site.limits import Limits
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
        lock = f"{HOME}/root/etc/cellblock-full.sh"
        assert typed(box, f"stat -f %Lp {lock}") == "600\n", "who may read it could hold its lock"
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


def test_a_disk_that_is_full_has_room_again_within_a_minute(tmp_path: Path) -> None:
    """By what the jail's cron runs: what is temporary, the largest first, then logs."""
    made = planned()
    log = "/var/log/messages"
    line = f"sed -e 's/^[* ]* root //' {HOME}/root/etc/cron.d/cellblock-full"
    makes_room = f'sh -c "$({line})"'
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box) as running:
            running.apply("mysql.jail")
        typed(box, "jexec mysql dd if=/dev/zero of=/tmp/small bs=1024 count=10")
        typed(box, f"jexec mysql sh -c 'yes first | head -c 3000000 > {log}'")
        typed(box, f"jexec mysql {makes_room}")
        assert typed(box, f"jexec mysql stat -f %z /tmp/small {log}") == "10240\n3000000\n"

        typed(box, "jexec mysql dd if=/dev/zero of=/tmp/full bs=1024k count=55")
        typed(box, f"jexec mysql {makes_room}")
        assert typed(box, "jexec mysql ls /tmp").split() == ["small"]
        assert typed(box, f"jexec mysql head -n 1 {log}") == "first\n"

        typed(box, f"jexec mysql sh -c '(yes more | head -c 57000000; echo last) >> {log}'")
        typed(box, f"jexec mysql {makes_room}")
        said = typed(box, f"jexec mysql cat {log}").splitlines()
        assert said[0] == "cellblock: this log was cut, the disk was full"
        assert "last" in said
        assert "first" not in said
        assert int(typed(box, f"jexec mysql stat -f %z {log}")) < 70_000
        assert typed(box, "jexec mysql ls /tmp").split() == ["small"]
        typed(box, f"jexec mysql sh -c 'head -c 60000000 /dev/zero > {log}'")
        typed(box, "jexec mysql sh -c 'df() { false; }; . /etc/cellblock-full.sh' || true")
        assert typed(box, f"jexec mysql stat -f %z /tmp/small {log}") == "10240\n60000000\n"


@pytest.mark.parametrize("disk", [None, "64M"])
def test_what_an_account_has_protected_by_its_flags_goes_with_the_jail(
    tmp_path: Path, disk: str | None
) -> None:
    """rm(1) and find(1) clear uchg and uappnd, and not uunlnk (rm_tree, f_delete)."""
    made = planned(disk)
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box) as running:
            running.apply("mysql.jail")
        typed(box, "jexec mysql sh -c 'mkdir /tmp/d && touch /tmp/d/f && chflags uunlnk /tmp/d/f'")
        with runner(made, box) as running:
            running.rollback()
        assert typed(box, LEFT) == ""


def _with_own_file_system(box: Box) -> None:
    typed(
        box,
        f"mkdir -p {HOME} && dd if=/dev/zero of=/x bs=1024k count=64 && newfs -U /dev/"
        f"$(mdconfig -a -t vnode -f /x) && mount /dev/md0 {HOME}",
    )


def test_an_empty_file_system_of_the_hosts_owner_is_used_and_left(tmp_path: Path) -> None:
    made = planned(None)
    with standin_box(made.site, tmp_path) as box:
        _with_own_file_system(box)
        with runner(made, box) as running:
            running.apply()
            assert typed(box, f"ls {HOME}").split() == ["fstab", "local-etc", "root"]
            running.rollback()
        assert mounted(box)
        assert typed(box, f"ls -A {HOME}; stat -f %Lp {HOME}") == "755\n"


def test_one_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    made = planned(None)
    with standin_box(made.site, tmp_path) as box:
        _with_own_file_system(box)
        typed(box, f"touch {HOME}/mine")
        refused = pytest.raises(Refused, match=f"has something of that name already .{HOME}")
        with runner(made, box) as running, refused:
            running.apply()
        assert typed(box, f"ls {HOME}") == "mine\n"
