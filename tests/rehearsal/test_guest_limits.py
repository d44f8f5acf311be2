"""Limits on a real FreeBSD: what the web jail cannot take is there for the other services."""

from __future__ import annotations

from pathlib import Path

import pytest

from box.provision import silent
from box.qemu.guest import Guest
from rollout import site
from rollout.site.limits import Limits
from tests.lab.operator import Operator

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

ORDER = ("preflight", "base", "network", "bind", "mysql", "web", "mail")
GIVEN = 'limits = { memory = "1G", swap = "1G", processes = 120, cpu = 50, cpus = "0" }'
RULES = Limits(memory="1G", swap="1G", processes=120, cpu=50).rules("web")  # type: ignore[arg-type] # as in the file
WEB = 'hostname = "www.example.org"\n'
AS_WWW = "daemon -f jexec -U www web sh -c"
BOMB = '\'exec awk "BEGIN { for (;;) system(\\"sleep 1000 &\\") }"\''
"""awk goes on when a fork fails; a bomb of sh alone died out within seconds (seen on 15.0)."""
HOG = "jexec -U www web sh -c 'tail -c 3g /dev/zero >/dev/null'"
COUNT = "ps -J web -o pid= | wc -l"


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    """Whose web jail has limits, on a host that counts."""
    made = Operator(fresh_guest, tmp_path, ORDER, probes=0.5)
    text = made.site.read_text(encoding="utf-8")
    assert WEB in text
    made.site.write_text(text.replace(WEB, f"{WEB}{GIVEN}\n"), encoding="utf-8")
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
