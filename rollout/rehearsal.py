"""A rehearsal: everything forward, back and forward again on a box that may break."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rollout import report
from rollout.box import Box
from rollout.errors import Refused, RolledBack, Stuck
from rollout.plan import Plan
from rollout.record import Record
from rollout.runner import Runner
from rollout.site import JOURNAL
from rollout.step import Gate
from rollout.told import Told


class Rehearsal:
    """Rehearses one plan on one box. `files` is a directory for the report and what the prober saw.

    The report is written where the rehearsal's `record`, a context, ends.
    """

    def __init__(self, plan: Plan, box: Box, told: Told, files: Path) -> None:
        self.plan = plan
        self.box = box
        self.told = told
        self.files = files
        self.record = Record(plan, "rehearse", box.target.name, files, told.note)

    def _runner(self) -> Runner:
        return Runner(self.plan, self.box.target, self.box.outside, self.told, _yes)

    def fingerprint(self) -> list[str]:
        """The host's state, one fact a line."""
        with self._runner() as runner:
            runner.contact.take()
            return runner.session.output(f"sh {JOURNAL}/host.sh fingerprint").splitlines()

    def commands(self, position: int) -> int:
        """How many commands a step has on the box as it is now."""
        with self._runner() as runner:
            runner.contact.connect()
            return len(runner.compiled(position).commands)

    def whole(self) -> None:
        """Apply, verify, roll back, compare with before, apply again. Raises where it fails."""
        before = self.fingerprint()
        self._act("apply", lambda runner: runner.apply())
        self._verify()
        self._act("rollback", lambda runner: runner.rollback())
        self.must_equal(before, "after the rollback")
        self._act("apply again", lambda runner: runner.apply())
        self._verify()

    def broken(self, step: str, command: int) -> None:
        """Let one command of a step fail. Raises RolledBack when all is as before that step."""
        position = self.plan.position(step)
        if position:
            self._act("apply", lambda runner: runner.apply(self.plan.steps[position - 1].name))
        there = self.commands(position)
        if command > there:
            raise Refused(
                f"{step} has {there} commands on this host: there is no number {command} to break",
                todo="see the runbook for the commands of a step",
            )
        before = self.fingerprint()
        at = f"sh -eu */steps/{self.plan.directory(position)}/do/{command:03}.sh"
        self.box.break_at(at)
        try:
            self._act(f"apply {step}, its command {command} broken", lambda r: r.apply(step))
        except RolledBack:
            self.must_equal(before, f"after the failure of {step}")
            raise
        raise Stuck(f"{step} was to fail at its command {command} and did not")

    def _act(self, name: str, run: Callable[[Runner], Any]) -> None:
        self.told.act(name)
        with self._runner() as runner:
            try:
                with self.record.act(name, runner, self.box.watches, self.box.witness):
                    run(runner)
            finally:
                self.told.ended(self.record.results)

    def _verify(self) -> None:
        with self._runner() as runner:
            verdicts = runner.verify()
        self.record.verified(verdicts)
        failed = [verdict for verdict in verdicts if not verdict.passed]
        if failed:
            raise Stuck("checks fail after the apply", evidence=report.verdicts_table(failed))
        self.told.note(f"verify: {len(verdicts)} of {len(verdicts)} checks passed")

    def must_equal(self, before: list[str], when: str) -> None:
        """Raises Stuck when the host differs from `before`, naming what differs."""
        now = self.fingerprint()
        lines = list(difflib.unified_diff(before, now, "before", "now", lineterm="", n=0))
        self.record.compared(when, len(now), lines)
        if now != before:
            raise Stuck(f"{when} the host is not as before", evidence="\n".join(lines))
        self.told.note(f"{when} the host is as before: {len(now)} facts compared, none differs")


def _yes(step: str, gate: Gate) -> str:
    return "the rehearsal"
