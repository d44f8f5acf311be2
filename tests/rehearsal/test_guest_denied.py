"""A step that blocks ssh on a real FreeBSD: the host undoes it at its deadline, by itself."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pyinfra.api import operation

from box.qemu.guest import Guest
from operations.command import Commands, Reversible
from rollout.plan.step import use
from rollout.site import JOURNAL
from tests.lab.target import OnWire
from tests.lab.wire import GUEST
from tests.rehearsal.test_host_sh import Run, step

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

DEADLINE = 8  # seconds after the last command
WITHIN = 10.0  # seconds after the deadline
GIVEN_UP = 120.0
TIMES = 2  # runs of each way to block it
STEP = "002-denied"

CONFIG = "/etc/ssh/sshd_config"
PORT = f"printf '\\nPort 2222\\n' >> {CONFIG} && service sshd restart"
ALIAS = f"ifconfig vtnet0 inet {GUEST}"


@dataclass(frozen=True)
class Way:
    do: str
    undo: str
    keep: tuple[str, ...] = ()


WAYS = {
    "a rule": Way(
        "ipfw -q add 1 deny tcp from any to me 22", "ipfw -q delete 1 2>/dev/null || true"
    ),
    "sshd is stopped": Way(
        "service sshd onestop", "service sshd onestart || service sshd onestatus"
    ),
    "sshd on another port": Way(
        PORT, f'cp -p "$KEEP/1" {CONFIG} && service sshd restart', (CONFIG,)
    ),
    "the interface is down": Way("ifconfig vtnet0 down", "ifconfig vtnet0 up"),
    "the address is gone": Way(f"{ALIAS} -alias", f"{ALIAS}/24 alias"),
}

# Waits until sshd greets a new client, and prints when, by this machine's clock.
KNOCKS = """\
import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], 22), timeout=1) as door:
            door.settimeout(5)
            if door.recv(4) == b"SSH-":
                break
    except OSError:
        pass
    time.sleep(0.2)
print(time.time())
"""


@operation()
def denied(way: str) -> Commands:
    wanted = WAYS[way]
    yield Reversible(wanted.do, undo=wanted.undo, says=way, keep=wanted.keep)


def ahead(guest: Guest) -> float:
    """How many seconds the guest's clock is ahead of ours; accurate to about one."""
    asked = time.time()
    return float(guest.sh("date +%s").stdout) + 0.5 - (asked + time.time()) / 2


def is_denied(guest: Guest) -> bool:
    done = subprocess.run(
        guest.argv("timeout", "3", sys.executable, "-c", KNOCKS, GUEST),
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode != 0


@pytest.fixture
def line(fresh_guest: Guest) -> Iterator[OnWire]:
    line = OnWire(fresh_guest)
    yield line
    line.cut()


@pytest.mark.parametrize("way", WAYS)
def test_it_is_undone_within_ten_seconds_of_its_deadline(line: OnWire, way: str) -> None:
    guest = line.guest
    guest.sh("kenv net.inet.ip.fw.default_to_accept=1 && kldload ipfw")
    run = Run(line)
    run.connection.close()
    before = guest.sh(f"sh {JOURNAL}/host.sh fingerprint").stdout
    late = []
    for _ in range(TIMES):
        run = Run(line, step("denied", use(denied, way=way), confirm_within=DEADLINE))
        clock = ahead(guest)
        run.begin(1)
        guest.wait_until(lambda: is_denied(guest), "denied", 120.0)
        knocked = subprocess.run(
            guest.argv(sys.executable, "-c", KNOCKS, GUEST),
            capture_output=True,
            text=True,
            timeout=GIVEN_UP,
            check=True,
        )
        line.cut()
        there = f"{JOURNAL}/steps/{STEP}"
        guest.wait_until(
            lambda there=there: guest.sh(f"ls {there}/state.undone").exit == 0,  # type: ignore[misc]
            "undone",
            60.0,
        )
        booted = "$(date +%s) - $(ps -o etimes= -p 1)"
        deadline = float(guest.sh(f"echo $(({booted} + $(cat {there}/deadline)))").stdout)
        late.append(round(float(knocked.stdout) + clock - deadline, 1))
        assert guest.sh(f"sh {JOURNAL}/host.sh fingerprint").stdout == before
    print(f"{way}: answered again after the deadline by {late} s")
    assert max(late) <= WITHIN, late
