"""Limits on a real FreeBSD: what the web jail cannot take is there for the other services."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from box.provision import silent
from box.qemu.guest import Guest
from rollout import site
from rollout.site.limits import Limits
from tests.lab.asking import Took, took
from tests.lab.operator import Operator

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

ORDER = ("preflight", "base", "network", "bind", "mysql", "web", "mail")
DISK = 96  # MiB
FULL = 1024  # KiB that may be left: dd(1) ends at its first block that does not fit
GIVEN = 'limits = { memory = "1G", swap = "1G", processes = 120, cpu = 50, cpus = "0" }'
RULES = Limits(memory="1G", swap="1G", processes=120, cpu=50).rules("web")  # type: ignore[arg-type] # as in the file
WEB = 'hostname = "www.example.org"\n'
AS_WWW = "daemon -f jexec -U www web sh -c"
BOMB = '\'exec awk "BEGIN { for (;;) system(\\"sleep 1000 &\\") }"\''
"""awk goes on when a fork fails; a bomb of sh alone died out within seconds (seen on 15.0)."""
HOG = "jexec -U www web sh -c 'tail -c 3g /dev/zero >/dev/null'"
COUNT = "ps -J web -o pid= | wc -l"
FILLER = f"{AS_WWW} 'dd if=/dev/zero of=/tmp/full bs=64k'"
ROOTS_FILLER = "jexec web dd if=/dev/zero of=/root/full bs=64k"
FLOODER = (
    "daemon -f -p /root/flooder jexec -U www web sh -c "
    '\'awk "BEGIN { s = sprintf(\\"%900s\\", \\"\\"); for (;;) print ++n, s \\"x\\" }" '
    "| logger -t flood -p user.err'"
)
"""Lines that differ: of equal ones syslogd(8) keeps one, and a count."""
ROOM = "jexec web df -k / | awk 'NR == 2 {print $4}'"
"""KiB that are left for all but root."""
CUT = "jexec web grep -ch 'this log was cut' /var/log/messages"


def limited(guest: Guest, home: Path, given: str, order: tuple[str, ...] = ORDER) -> Operator:
    """Whose web jail has these limits."""
    made = Operator(guest, home, order, probes=0.5)
    text = made.site.read_text(encoding="utf-8")
    assert WEB in text
    made.site.write_text(text.replace(WEB, f"{WEB}{given}\n"), encoding="utf-8")
    return made


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    """On a host that counts."""
    made = limited(fresh_guest, tmp_path, GIVEN)
    fresh_guest.sh("echo kern.racct.enable=1 >> /boot/loader.conf; sync")
    fresh_guest.power_off()
    fresh_guest.boot()
    return made


def applied(operator: Operator, *words: str) -> None:
    done = operator.deploy(*words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fork_bomb_and_a_memory_hog_stay_in_their_jail(operator: Operator) -> None:
    guest, made = operator.guest, site.read(operator.site)
    before = operator.fingerprint()
    applied(operator, "apply", "--yes")
    assert set(guest.sh("rctl jail:web").stdout.split()) == set(RULES)
    assert "mask: 0\n" in guest.sh("cpuset -g -j web").stdout

    guest.sh(f"{AS_WWW} {BOMB}")
    guest.wait_until(lambda: int(guest.sh(COUNT).stdout) >= 115, "a jail full of processes", 120.0)
    assert set(silent(guest, made)) <= {"web"}
    assert int(guest.sh(COUNT).stdout) <= 121, "and the one that counts none"
    assert guest.sh("service jail onerestart web && jls -j web jid", timeout=400).exit == 0
    assert not silent(guest, made)

    assert guest.sh(HOG, timeout=300).exit != 0
    assert not silent(guest, made)

    guest.sh(f"{AS_WWW} {BOMB}")
    applied(operator, "rollback", "--set-aside")
    assert guest.sh("rctl jail:web").stdout == ""
    assert operator.fingerprint() == before


def room(guest: Guest) -> int:
    return int(guest.sh(ROOM).stdout)


def told(what: str, now: Mapping[str, Took]) -> None:
    for name, each in now.items():
        print(f"{what}: {name}: {each.median:.2f} s, at most {each.longest:.2f} s, {each.answered}")


def test_a_disk_filler_and_a_log_flooder_stay_in_their_jail(
    fresh_guest: Guest, tmp_path: Path
) -> None:
    """And the jail has room again by itself, while the others answer within their usual times.

    These are on the host still, whose file system has the jail's disk.
    """
    given, order = f'limits = {{ disk = "{DISK}M" }}', ("preflight", "base", "network", "web")
    operator = limited(fresh_guest, tmp_path, given, order)
    guest, made = operator.guest, site.read(operator.site)
    before = operator.fingerprint()
    applied(operator, "apply", "--yes")
    calm = took(guest, made)
    told("calm", calm)
    at_first = room(guest)
    assert DISK * 512 < at_first < DISK * 1024

    def as_usual(what: str) -> None:
        now = took(guest, made)
        told(what, now)
        for name, each in now.items():
            # An emulated sendmail, which looks up every client in vain, is slow by itself.
            assert each.answered * 2 >= calm[name].answered, name
            assert each.median < 3 * calm[name].median + 0.2, name

    guest.sh(FILLER)
    guest.wait_until(lambda: room(guest) < FULL, "a full disk", 120.0)
    as_usual("the disk of the web jail is full")
    guest.wait_until(lambda: room(guest) > at_first // 2, "room again", 240.0)

    assert "No space left" in guest.sh(ROOTS_FILLER, timeout=300).stderr
    as_usual("full to the last block, by its root")
    guest.sh("jexec web rm /root/full")

    guest.sh(FLOODER)
    guest.wait_until(lambda: int(guest.sh(CUT).stdout or 0) > 0, "a log that is cut", 600.0)
    as_usual("while logs are flooded")
    guest.sh("pkill -F /root/flooder; jexec web pkill -f 'logger -t flood'; true")
    guest.wait_until(lambda: room(guest) > at_first // 2, "room again", 240.0)
    assert not silent(guest, made)

    guest.sh(FILLER)
    guest.power_off()
    guest.boot()
    assert not silent(guest, made)
    assert "/dev/md0" in guest.sh("mount -p").stdout

    guest.sh(FILLER)
    guest.reboot()
    assert not silent(guest, made)

    guest.sh(FILLER)
    applied(operator, "rollback", "--set-aside")
    assert operator.fingerprint() == before
