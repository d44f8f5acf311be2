"""Random failures in the middle of a step on the real guest: drawn, caused and repaired."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from box.qemu.guest import Guest
from box.remote import GuestError
from rollout.site import JOURNAL

Then = Literal["apply", "rollback"]

SHORT = 30  # seconds until the deadline, where no operator comes before it
RESTS = ("confirmed", "undone", "stuck")
STRIKE_LIMIT = 600.0  # seconds: the earlier commands of the step, emulated, under clients
REST_LIMIT = 900.0  # seconds: a command that hangs may take up to four minutes
BLINK = 20.0  # seconds; ssh gives up a dead connection after fifteen
WORD = "cellblock-chaos:"

# How a daemon is kept from starting in its jail: its data directory is mounted read-only, or the
# directory of its pid file is made immutable.
_READ_ONLY = "umount {at} && mount -t nullfs -o ro {of} {at}"
SPOILT = {
    "mysql.cutover": _READ_ONLY.format(of="/var/db/mysql", at="/usr/jails/mysql/root/var/db/mysql"),
    "web.standby": "chflags schg /usr/jails/web/root/var/run/apache24",
}
MENDED = {
    "mysql.cutover": "umount /usr/jails/mysql/root/var/db/mysql && "
    "mount -t nullfs /var/db/mysql /usr/jails/mysql/root/var/db/mysql",
    "web.standby": "chflags noschg /usr/jails/web/root/var/run/apache24",
}
# A small disk of its own, since filling the guest's disk takes minutes.
SMALL_DISK = f"""set -e
mkdir -p {JOURNAL}
disk=$(mdconfig -a -t swap -s 32m)
newfs -U /dev/$disk >/dev/null
mount /dev/$disk /mnt
cp -Rp {JOURNAL}/. /mnt
umount /mnt
mount /dev/$disk {JOURNAL}
"""
# rc.subr(8) reads rc.conf.d/NAME after the script's own settings.
HANGING = {"mysql.cutover": "mysql", "web.retire": "apache24", "bind.retire": "named"}


@dataclass(frozen=True)
class Failure:
    """`kind` at `step`, once the share `at` of its commands has begun; then the run does `then`."""

    kind: str
    step: str
    at: float
    then: Then

    def __str__(self) -> str:
        return f"{self.kind} in {self.step} at {self.at:.2f}, then {self.then}"


def places(kind: str, steps: Sequence[str]) -> list[str]:
    """The steps in which that may happen."""
    if kind in ("link", "blink"):
        return [step for step in steps if step.endswith(".cutover")]
    only = {"daemon": SPOILT, "stop": HANGING}.get(kind)
    return [step for step in steps if only is None or step in only]


def draw(dice: Random, steps: Sequence[str], number: int) -> list[Failure]:
    """`number` failures in step order: each kind equally often, but power twice as often."""
    kinds = [kind for kind in ("power", *KINDS) if places(kind, steps)]
    drawn = []
    for _ in range(number):
        kind = dice.choice(kinds)
        then: Then = dice.choice(("apply", "rollback"))
        drawn.append(Failure(kind, dice.choice(places(kind, steps)), dice.random(), then))
    return sorted(drawn, key=lambda each: steps.index(each.step))


@dataclass
class Scene:
    """The guest during a failure, and the operator's deploy.py that works on it."""

    guest: Guest
    running: subprocess.Popen[str]
    failure: Failure

    @property
    def there(self) -> str:
        return f"{JOURNAL}/steps/*-{self.failure.step}"

    def state(self) -> str:
        said = self.guest.sh(f"ls -d {self.there}/state.*").stdout
        return said.strip().rpartition("/state.")[2]

    def rests(self) -> bool:
        try:
            return self.state() in RESTS
        except (GuestError, subprocess.TimeoutExpired):  # the clients leave ssh little time on it
            return False

    def wait(self, question: Callable[[], bool], what: str, limit: float) -> None:
        self.guest.wait_until(question, what, limit)


def watch(guest: Guest, failure: Failure) -> None:
    """Make the guest print on its console when the step gets that far, and when it rests again.

    It needs no connection, since the link may be cut by then.
    """
    there = f"{JOURNAL}/steps/*-{failure.step}"
    lines = [
        f"set -- {there}; until [ -e $1/progress ]; do sleep 0.1; set -- {there}; done",
        f"n=$(ls $1/do | wc -l); n=$(printf %03d $((n * {int(failure.at * 1000)} / 1000 + 1)))",
        "until grep -q ^begun.$n $1/progress; do sleep 0.05; done",
        f"echo {WORD} struck $n >/dev/console",
        "until [ -e $1/state.undone ] || [ -e $1/state.stuck ]; do sleep 0.5; done",
        f"echo {WORD} rests >/dev/console",
    ]
    guest.sh(f"daemon -f sh -c '{'; '.join(lines)}'")


def _printed(guest: Guest, word: str) -> bool:
    return f"{WORD} {word}" in guest.console()


def struck(scene: Scene) -> None:
    """Wait until the step gets that far."""
    deadline = time.monotonic() + STRIKE_LIMIT
    while not _printed(scene.guest, "struck"):
        assert scene.running.poll() is None, "the apply ended before the step got that far"
        assert time.monotonic() < deadline, "the step never got that far"
        time.sleep(0.02)


def _power(scene: Scene) -> None:
    scene.guest.power_off()
    scene.guest.boot()


def _link(scene: Scene) -> None:
    scene.guest.cut_link()
    try:
        scene.wait(lambda: _printed(scene.guest, "rests"), "at rest by itself", REST_LIMIT)
    finally:
        scene.guest.restore_link()


def _blink(scene: Scene) -> None:
    scene.guest.cut_link()
    time.sleep(BLINK)
    scene.guest.restore_link()


def _operator(scene: Scene) -> None:
    os.killpg(scene.running.pid, signal.SIGKILL)
    scene.wait(scene.rests, "at rest by itself", REST_LIMIT)


def _disk(scene: Scene) -> None:
    to_the_last_block = "for size in 64k 4k 512; do dd if=/dev/zero bs=$size; done 2>/dev/null"
    scene.guest.sh(f"({to_the_last_block}) >{JOURNAL}/full")


def _nothing_more(scene: Scene) -> None:
    """`lay` has caused the failure before the step began."""


KINDS: dict[str, Callable[[Scene], None]] = {
    "power": _power,
    "link": _link,
    "blink": _blink,
    "operator": _operator,
    "disk": _disk,
    "daemon": _nothing_more,
    "stop": _nothing_more,
}
CODES = {
    "power": (2, 5),
    "link": (2, 5),
    "blink": (0, 2),
    "operator": (-signal.SIGKILL,),
    "disk": (0, 2),
    "daemon": (2,),
    "stop": (2,),
}
"""The exit codes that deploy.py may have."""


def lay(guest: Guest, failure: Failure) -> None:
    """Cause a failure that exists before the step begins."""
    if failure.kind == "disk":
        _must(guest, SMALL_DISK)
    if failure.kind == "daemon":
        _must(guest, SPOILT[failure.step])
    if failure.kind == "stop":
        name = HANGING[failure.step]
        hangs = "echo 'stop_precmd=\"sleep 1000\"'"
        _must(guest, f"mkdir -p /etc/rc.conf.d && {hangs} >/etc/rc.conf.d/{name}")


def mend(guest: Guest, failure: Failure) -> None:
    """Repair it, as an administrator would."""
    if failure.kind == "disk":
        _must(guest, f"rm -f {JOURNAL}/full")
    if failure.kind == "daemon":
        _must(guest, MENDED[failure.step])
    if failure.kind == "stop":
        _must(guest, f"rm -f /etc/rc.conf.d/{HANGING[failure.step]}")


def _must(guest: Guest, command: str) -> None:
    answer = guest.sh(command, timeout=600)
    assert answer.exit == 0, f"{command}: {answer.stdout}{answer.stderr}"
