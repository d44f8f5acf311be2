"""Any failure on a real FreeBSD under clients: the host recovers by itself, and nothing is lost.

`make chaos` draws the failures at random, prints the seed, and plays each from a snapshot of the
guest as it was before the step.
"""

from __future__ import annotations

import fnmatch
import json
import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from box.clients.results import Sent
from box.clients.send import judge
from box.qemu.guest import Guest
from box.run_clients import getting, inserting, resolving, sending, verify
from rollout import plan, site
from tests.lab import failures
from tests.lab.failures import CODES, KINDS, SHORT, Failure, Scene
from tests.lab.operator import PROJECT, Operator

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(6 * 3600)]

RUNS, SEED, ONLY = "CELLBLOCK_CHAOS_RUNS", "CELLBLOCK_CHAOS_SEED", "CELLBLOCK_CHAOS_ONLY"
ORDER = "CELLBLOCK_CHAOS_ORDER"
BEFORE = "before"  # the snapshot of the guest before the current step
ANSWERS_WITHIN = 180.0  # seconds, after the step rests; emulated
DELIVERED_WITHIN = 180.0
# After a power cut, mail.local ignores a stale mailbox lock only after five minutes, and then
# continues by itself (seen twice); waiting for that thirty times takes too long.
UNLOCK = "rm -f /var/mail/alice.lock"
# Per second; the emulated processor has the rollout to run, too.
INSERTS, GETS, QUESTIONS, MESSAGES = 10.0, 1.0, 2.0, 0.2
TO = "alice@example.org"
FLUSH = "sendmail -q; if jls -j mail jid >/dev/null 2>&1; then jexec mail sendmail -q; fi"


@dataclass(frozen=True)
class Played:
    failure: Failure
    end: str
    seconds: float
    wrong: str = ""

    def __str__(self) -> str:
        how = f"WRONG: {self.wrong}" if self.wrong else self.end
        return f"{self.failure}: {how} ({self.seconds:.0f} s)"


class Stage:
    """The guest, an operator with a long deadline, and one with a short one."""

    def __init__(self, guest: Guest, home: Path) -> None:
        self.guest = guest
        order = [each for each in os.environ.get(ORDER, "").split(",") if each]
        (home / "patient").mkdir()
        (home / "hasty").mkdir()
        self.operator = Operator(guest, home / "patient", order, probes=0.5)
        self.hasty = Operator(guest, home / "hasty", order, probes=0.5)
        text = self.hasty.site.read_text().replace(
            "confirm_within = 600", f"confirm_within = {SHORT}"
        )
        self.hasty.site.write_text(text)
        made = plan.make(site.read(self.operator.site))
        self.steps = [step.name for step in made.steps if step.operations]

    def deploy(self, *words: str) -> None:
        done = self.operator.deploy(*words)
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"

    def play(self, failure: Failure) -> str:
        """Play one failure from the step's snapshot; returns its end. Raises AssertionError."""
        failures.lay(self.guest, failure)
        before = self.operator.fingerprint()
        with ExitStack() as clients:
            writer = clients.enter_context(inserting(self.guest, INSERTS)).wait_ready()
            clients.enter_context(getting(self.guest, rate=GETS, threads=2)).wait_ready()
            clients.enter_context(resolving(self.guest, "example.org", rate=QUESTIONS)).wait_ready()
            sender = clients.enter_context(sending(self.guest, TO, rate=MESSAGES)).wait_ready(60.0)
            end = self._fails(failure)
            if failure.kind == "power":
                self.guest.sh(UNLOCK)
            self._all_answer()
            writer.stop()
            lost = verify(self.guest, writer).lost
            assert not lost, f"{len(lost)} rows lost: {lost[:5]}"
            self._all_delivered(sender.stop())
        if end == "undone":
            now = self.operator.fingerprint()
            assert now == before, _differences(before, now)
        else:
            self.deploy("verify")
        failures.mend(self.guest, failure)
        self._goes_on(failure)
        return end

    def _fails(self, failure: Failure) -> str:
        hasty = failure.kind in ("link", "operator")
        failures.watch(self.guest, failure)
        words = ("apply", "--yes", "--to", failure.step)
        running = (self.hasty if hasty else self.operator).begin(*words)
        try:
            scene = Scene(self.guest, running, failure)
            if failure.kind not in ("daemon", "stop"):
                failures.struck(scene)
            time.sleep(failure.at % 0.1 * 10)  # somewhere within the command
            KINDS[failure.kind](scene)
            out, err = running.communicate(timeout=failures.REST_LIMIT)
        finally:
            running.kill()
            running.communicate()
        assert running.returncode in CODES[failure.kind], (
            f"exit code {running.returncode}: {out[-1500:]}{err[-1500:]}"
        )
        state = scene.state()
        if failure.step == "base" and state == "applying":
            return "seen to by the next"  # nothing undoes at boot yet (docs/recovery.md)
        assert state in ("undone", "confirmed"), f"{state}: {self._log(scene)}"
        if failure.kind == "disk":  # the users' services need a disk with room
            failures.mend(self.guest, failure)
        return state

    def _log(self, scene: Scene) -> str:
        return self.guest.sh(f"cat {scene.there}/stuck; tail -n 30 {scene.there}/log").stdout

    def _all_answer(self) -> None:
        """The host or the jail answers each port, as the journal says."""
        deadline = time.monotonic() + ANSWERS_WITHIN
        while True:
            asked = subprocess.run(
                self.guest.argv(
                    sys.executable, "-m", "tests.lab.port_owners", str(self.operator.site)
                ),
                cwd=PROJECT,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            told = json.loads(asked.stdout) if asked.returncode == 0 else {}
            if told and all(who == should for who, should in told.values()):
                return
            assert time.monotonic() < deadline, f"who answers, who should: {told} {asked.stderr}"
            time.sleep(2)

    def _all_delivered(self, sent: Sent) -> None:
        deadline = time.monotonic() + DELIVERED_WITHIN
        while True:
            self.guest.sh(FLUSH)
            mailbox = self.guest.sh("cat /var/mail/alice").stdout
            lost = judge(sent, mailbox).lost
            if not lost:
                return
            assert time.monotonic() < deadline, f"messages lost: {lost}"
            time.sleep(3)

    def _goes_on(self, failure: Failure) -> None:
        """Apply the step again, or roll back the ones before it."""
        at = self.steps.index(failure.step)
        if failure.then == "apply" or at == 0:
            self.deploy("apply", "--yes", "--to", failure.step)
        elif at == 1:
            self.deploy("rollback")
        else:
            self.deploy("rollback", "--to", self.steps[at - 2])


def _differences(before: str, now: str) -> str:
    old, new = set(before.splitlines()), set(now.splitlines())
    lines = [f"- {line}" for line in sorted(old - new)] + [
        f"+ {line}" for line in sorted(new - old)
    ]
    return "not as before:\n" + "\n".join(lines[:20])


def test_the_host_recovers_from_every_failure(fresh_guest: Guest, tmp_path: Path) -> None:
    stage = Stage(fresh_guest, tmp_path)
    seed = os.environ.get(SEED) or str(random.randrange(10**6))
    print(f"to repeat it: {SEED}={seed}")
    drawn = failures.draw(random.Random(seed), stage.steps, int(os.environ.get(RUNS) or 30))
    drawn = [each for each in drawn if fnmatch.fnmatch(str(each), os.environ.get(ONLY) or "*")]
    played: list[Played] = []
    at = ""
    for failure in drawn:
        if failure.step != at:
            position = stage.steps.index(failure.step)
            if at:
                fresh_guest.restore(BEFORE)
            if position:
                stage.deploy("apply", "--yes", "--to", stage.steps[position - 1])
            fresh_guest.save(BEFORE)
            at = failure.step
        else:
            fresh_guest.restore(BEFORE)
        began = time.monotonic()
        end = wrong = ""
        try:
            end = stage.play(failure)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        played.append(Played(failure, end, time.monotonic() - began, wrong))
        print(f"{len(played)}/{len(drawn)} {played[-1]}", flush=True)
    wrong_ones = [each for each in played if each.wrong]
    print(f"{len(played)} played, {len(wrong_ones)} wrong")
    assert played
    assert not wrong_ones, "\n".join(map(str, wrong_ones))
