"""A jail's own file system: how it is made, and the script that mounts it, with FreeBSD's programs
replaced by functions that note what they were asked.
"""

from __future__ import annotations

from pathlib import Path as LocalPath

import pytest
from pyinfra.api.exceptions import OperationError

from operations import disk
from operations.facts import Path, State
from steps.render import render
from tests.unit.operations.asking import reversible, typed


def test_a_file_of_zeros_becomes_a_file_system_that_only_root_reads() -> None:
    made, formatted = reversible(
        disk.image, {Path: State()}, path="/j/.disks/web", mib=512, home="/j/web"
    )
    assert made.do == (
        "(umask 077 && dd if=/dev/zero of=/j/.disks/web bs=1024k count=512 status=none) "
        "&& fsync /j/.disks/web"
    )
    assert made.undo == "rm -f /j/.disks/web"
    assert made.limit == 60 + 128, "a slow disk writes 4 MiB a second"
    assert "newfs -n -U /dev/$md" in formatted.do


def test_a_file_that_is_there_is_never_overwritten() -> None:
    with pytest.raises(OperationError, match="/j/web exists already: expected nothing there"):
        reversible(disk.image, {Path: State("file")}, path="/j/web", mib=64, home="/h")


@pytest.mark.parametrize(("newfs", "code"), [("true", 0), ("false", 1)])
def test_the_unit_is_detached_whether_newfs_succeeds_or_not(
    tmp_path: LocalPath, newfs: str, code: int
) -> None:
    _, formatted = reversible(disk.image, {Path: State()}, path="/j/web", mib=64, home="/h")
    done = typed(
        formatted.do,
        tmp_path,
        mdconfig='case $1 in -a) echo md7;; *) echo "$*" >> asked;; esac',
        newfs=newfs,
    )
    assert done.returncode == code
    assert (tmp_path / "asked").read_text() == "-d -u md7\n"


@pytest.mark.parametrize(
    ("listed", "row", "asked"),
    [
        ("exit 255", "/dev/x / ufs", ""),
        ("echo 'md3 md4 '", "/dev/x /h ufs", "mdconfig -d -u md3\nmdconfig -d -u md4\n"),
        ("echo 'md3 '", "/dev/md3 /h ufs", "umount -f /h\nmdconfig -d -u md3\n"),
    ],
    ids=["nothing is left", "units are", "it is mounted"],
)
def test_the_undo_takes_what_a_killed_command_or_a_boot_left(
    tmp_path: LocalPath, listed: str, row: str, asked: str
) -> None:
    _, formatted = reversible(disk.image, {Path: State()}, path="/j/web", mib=64, home="/h")
    [mounted] = reversible(disk.mounted, script="/rc.d/x", path="/j/web", home="/h")
    assert mounted.undo == formatted.undo
    assert not mounted.live
    (tmp_path / "asked").write_text("")
    done = typed(
        str(formatted.undo),
        tmp_path,
        mount=f"echo {row} rw 1 1",
        umount='echo "umount $*" >> asked',
        mdconfig=f'case $1 in -l) {listed};; *) echo "mdconfig $*" >> asked;; esac',
    )
    assert done.returncode == 0
    assert (tmp_path / "asked").read_text() == asked


SUBR = """
err() { shift; echo "$*" >&2; exit 1; }
load_rc_config() { :; }
run_rc_command() { disk_$1; }
"""
"""What the script needs of rc.subr(8)."""


HERE, ELSEWHERE = "/dev/md0 /j/web ufs rw 2 2", "/dev/x / ufs rw 1 1"


def run(tmp_path: LocalPath, word: str, row: str, fsck: str = "true") -> str:
    """What the script asks for where `row` is mounted; a failure is noted as "failed"."""
    text = render(
        "jail/disk", script="cellblock_disk_web", jail="web", image="/j/.disks/web", home="/j/web"
    )
    text = text.replace(". /etc/rc.subr", SUBR).replace('"$1"', word)
    (tmp_path / "script").write_text(text)
    done = typed(
        "(. ./script) || echo failed >> asked",
        tmp_path,
        mount=f'if [ "$1" = -p ]; then echo {row}; else echo "mount $*" >> asked; fi',
        mdconfig="case $1 in -l) [ -s units ] && cat units;; -a) echo md0 | tee units;; "
        '*) echo "mdconfig $*" >> asked;; esac',
        umount='echo "umount $*" >> asked',
        chmod='echo "chmod $*" >> asked',
        fsck_ffs=fsck,
    )
    assert done.returncode == 0, done.stderr
    there = tmp_path / "asked"
    said = there.read_text() if there.exists() else ""
    return said + done.stderr


def test_the_script_mounts_what_is_not_mounted_and_unmounts_by_force(tmp_path: LocalPath) -> None:
    assert run(tmp_path, "start", ELSEWHERE) == "mount /dev/md0 /j/web\nchmod 700 /j/web\n"


def test_a_second_start_does_nothing(tmp_path: LocalPath) -> None:
    assert run(tmp_path, "start", HERE) == ""


def test_a_stop_unmounts_by_force_and_detaches(tmp_path: LocalPath) -> None:
    (tmp_path / "units").write_text("md0 \n")
    assert run(tmp_path, "stop", HERE) == "umount -f /j/web\nmdconfig -d -u md0\n"


def test_nothing_is_unmounted_below_which_something_is(tmp_path: LocalPath) -> None:
    [mounted] = reversible(disk.mounted, script="/rc.d/x", path="/j/web", home="/h")
    rows = "echo /dev/md0 /h ufs rw 2 2; echo /bin /h/root/bin nullfs ro 0 0"
    note = 'echo "$0" >> asked'
    done = typed(str(mounted.undo), tmp_path, mount=rows, umount=note, mdconfig=note)
    assert done.returncode != 0
    assert not (tmp_path / "asked").exists()


def test_a_stop_leaves_a_jail_that_runs_its_root(tmp_path: LocalPath) -> None:
    (tmp_path / "units").write_text("md0 \n")
    row = "/bin /j/web/root/bin nullfs ro 0 0; echo /dev/md0 /j/web ufs rw 2 2"
    said = run(tmp_path, "stop", row)
    assert said == "failed\n/j/web: something is mounted below it: stop jail web first\n"


def test_a_damaged_file_system_is_told_and_not_mounted(tmp_path: LocalPath) -> None:
    said = run(tmp_path, "start", ELSEWHERE, fsck="return 8")
    assert "mount" not in said
    assert "failed" in said
    assert "/j/.disks/web is damaged: run fsck_ffs /dev/md0, then service" in said
