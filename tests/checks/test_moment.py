"""Is this the moment? What fails here stops nothing: a plan lists it, and a person decides."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from tests.checks.moments import AT_WORK, ends


def test_nothing_copies_or_upgrades_files_now(host: Any) -> None:
    """A backup that runs during a cut-over has half of the old state and half of the new one, and
    pkg(8), freebsd-update(8) or periodic(8) write what Cellblock reads.
    """
    rows = host.check_output("ps -axww -J 0 -o pid= -o args=").splitlines()
    found = []
    for pid, _, line in (row.strip().partition(" ") for row in rows):
        names = {word.rpartition("/")[2] for word in line.split()[:3]}
        if names & {*AT_WORK}:
            found.append(f"{line.strip()[:60]} (pid {pid})")
    assert not found, (
        f"this runs on the host now: {', '.join(found[:5])}"
        f"{f' and {len(found) - 5} more' * (len(found) > 5)}: wait until it has ended, and see "
        "that cron starts none like it meanwhile"
    )


def test_no_restart_is_pending(host: Any) -> None:
    """After an upgrade the first restart brings another kernel, or programs that do not fit the one
    that runs: whatever fails then would look like Cellblock's doing.
    """
    installed, running, programs = host.check_output("freebsd-version -kru").split()
    assert installed == running, (
        f"the kernel that runs is {running}, and {installed} is installed (freebsd-version -kru): "
        "restart the host first, and see that it serves"
    )
    major, minor = _release(running), _release(programs)
    assert major == minor, (
        f"the kernel is {running} and the programs are {programs} (freebsd-version -kru): end the "
        "upgrade (freebsd-update install), and restart the host first"
    )


def _release(name: str) -> str:
    return name.partition("-")[0]


def test_release_gets_patches(host: Any) -> None:
    """The jails share the host's programs: what is not patched there is not patched in any."""
    release, day = host.check_output("uname -r; date -u +%Y-%m-%d").split()
    last = ends(release)
    assert last is None or date.fromisoformat(day) <= last, (
        f"FreeBSD {release} has got no security patches since {last}: upgrade the host first "
        "(freebsd-update upgrade), or soon after: in the jails its programs are the same"
    )


_FULL = 95


def test_no_file_system_is_nearly_full(host: Any) -> None:
    """UFS keeps 8 % for itself, and ZFS slows down: a step that cannot write is rolled back."""
    rows = host.check_output("df -k -t ufs,zfs").splitlines()[1:]
    sizes = [re.search(r"(-?\d+) +(\d+)% +(/.*)", row).groups() for row in rows]  # type: ignore[union-attr]
    found = [
        f"{place} ({share} %, {int(free) // 1024} MiB free)"
        for free, share, place in sizes
        if int(share) >= _FULL
    ]
    assert not found, (
        f"nearly full: {', '.join(found)}: make room, at least where jails, logs and /var/db are"
    )
