"""A rehearsal: apply, roll back and apply again on a box that may break."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

from tabulate import tabulate

from rollout.engine.checks import Verdict
from rollout.engine.listener import Listener, Listeners
from rollout.engine.runner import Runner
from rollout.errors import CellblockError, Refused, RolledBack, Stuck
from rollout.host.bundle import Bundle, Command
from rollout.host.session import Session
from rollout.plan import Plan
from rollout.plan.step import Gate
from rollout.rehearsal import faults, history
from rollout.rehearsal.box import Box
from rollout.rehearsal.faults import Fault, FaultyRunner, Injector
from rollout.rehearsal.verdicts import Column, Verdicts
from rollout.report import tables
from rollout.report.record import ROLLBACK, Record
from rollout.site import JOURNAL

_MARK = "=== step "
_EXTRA = 60.0  # seconds that a command may take beyond its own limit


class Rehearsal:
    """Rehearses one plan on one box. `files` is a directory for the report and the prober's files.

    `record` is a context; it writes the report at its end.
    """

    def __init__(self, plan: Plan, box: Box, listener: Listener, files: Path) -> None:
        self.plan = plan
        self.box = box
        self.listener = listener
        self.files = files
        self.record = Record(plan, "rehearse", box.target.name, files, listener.note)
        self.verdicts = Verdicts(plan)
        self._part = ""

    def _runner(self, injector: Injector | None = None) -> Runner:
        if injector is None:
            return Runner(self.plan, self.box.target, self.box.outside, self.listener, _yes)
        listener = Listeners(self.listener, injector)
        runner = FaultyRunner(self.plan, self.box.target, self.box.outside, listener, _yes)
        runner.fault = injector.fault
        return runner

    def fingerprint(self) -> list[str]:
        """The host's state, one fact per line."""
        with self._runner() as runner:
            runner.connection.take()
            return _fingerprint(runner.session)

    def compiled(self, position: int) -> Bundle:
        """A step, compiled for the current state of the box."""
        with self._runner() as runner:
            runner.connection.connect()
            return runner.compiled(position)

    # Kinds of rehearsals.

    def whole(self) -> None:
        """Apply, verify, roll back, compare with before, apply again, run everything a second time,
        restart, verify. Raises at the first failure; the verdicts are shown in any case.
        """
        with self._judging(self.verdicts):
            before = self.fingerprint()
            with self.box.traffic(self.listener.note):
                self._begin(1, 5)
                self._act("apply", lambda runner: runner.apply())
                self._verify("verify")
                self._begin(2, 5)
                self._act("rollback", lambda runner: runner.rollback())
                self._baselines()
                self.must_equal(before, "after the rollback")
                self._begin(3, 5)
                self._act("apply again", lambda runner: runner.apply())
                self._verify("verify")
            self._begin(4, 5)
            self._again()
            self._begin(5, 5)
            self.listener.note(f"--- {self._part}: restarting the box")
            self.box.reboot()
            self._verify("reboot")
        proven, site = self.verdicts.proven, self.plan.site.name
        history.note(proven, site, self.box.name, release=self._release())

    def _release(self) -> str | None:
        if not self.box.is_freebsd:
            return None
        with self._runner() as runner:
            return history.release_of(runner.session.output("uname -r"))

    def broken(self, step: str, command: int) -> None:
        """Let one command of a step fail. Raises RolledBack if the host is then as before it, and
        Refused, before any step runs, for a command that the step does not have.
        """
        self._must_have(step, command)
        with self._judging():
            self._broken(step, command)

    def _broken(self, step: str, command: int) -> None:
        position = self.plan.position(step)
        parts = 2 if position else 1
        if position:
            self._begin(1, parts)
            self._act("apply", lambda runner: runner.apply(self.plan.steps[position - 1].name))
        self._must_have(step, command)  # the steps before it may have left it fewer
        before = self.fingerprint()
        self._begin(parts, parts)
        try:
            self._faulted(Fault(step, "fail", number=command), f"apply {step}")
        except RolledBack as error:
            self.must_equal(before, f"after the failure of {step}")
            raise RolledBack(
                f"(a failure that --break injected) {error.what}",
                evidence=error.evidence,
                todo="nothing has to be repaired: the box is deleted, and no server was touched; "
                "on a live server: correct the cause, then cellblock apply",
            ) from None
        raise Stuck(
            f"a failure was injected at command {command} of {step}, but the step did not fail"
        )

    def _must_have(self, step: str, command: int) -> None:
        there = len(self.compiled(self.plan.position(step)).commands)
        if command > there:
            raise Refused(
                f"{step} has {there} commands on this host: there is no command {command} to break",
                todo=f"name one from 1 to {there}",
            )

    def chaos(self, count: int, seed: int) -> None:
        """Inject random failures from this seed. After each, the host must be as before the step,
        or the step confirmed and verified. At the end everything must be as before. Else raises
        Stuck.
        """
        with self._judging():
            self._chaos(count, seed)

    def _chaos(self, count: int, seed: int) -> None:
        self.listener.note(f"chaos: {count} failures, seed {seed}")
        before = self.fingerprint()
        names = [step.name for step in self.plan.steps if step.operations]
        ends = []
        for number, drawn in enumerate(faults.draw(count, seed, names), 1):
            self._begin(number, count + 2)
            ends.append(self._one(f"chaos {number}", drawn))
        self._begin(count + 1, count + 2)
        self._act("apply what is left", lambda runner: runner.apply())
        self._verify("verify")
        self._begin(count + 2, count + 2)
        self._act("rollback", lambda runner: runner.rollback())
        self.must_equal(before, "after chaos and the rollback")
        self.listener.note(tabulate(ends, ["failure", "ended"]))

    def _one(self, name: str, drawn: Fault) -> tuple[str, str]:
        """Inject one failure. Returns the failure, and how it ended."""
        position = self.plan.position(drawn.step)
        last = self.plan.steps[position - 1].name if position else None
        self._go_before(f"{name}: the way there", position, last)
        here = self.fingerprint()
        at = drawn.of(len(self.compiled(position).commands))
        self.listener.note(f"{name}: {at}")
        try:
            self._faulted(at, name)
        except RolledBack as error:
            self.listener.note(f"{name}: {error.what}")
        except CellblockError as error:
            self.listener.note(f"{name}: {error.what}; the next run undoes it")
            self._act(f"{name}: undone", lambda runner: runner.rollback(last))
        else:
            self._verify("verify")
            return str(at), "confirmed and verified"
        self.must_equal(here, f"after {at}")
        return str(at), "as before"

    def _go_before(self, name: str, position: int, last: str | None) -> None:
        """Confirm everything before the step at `position`; undo it and all later steps."""
        with self._runner() as runner:
            runner.connection.connect()
            done = {entry.name for entry in runner.known().done}
        if any(step.name in done for step in self.plan.steps[position:]):
            self._act(f"{name} back", lambda runner: runner.rollback(last))
        elif last is not None:
            self._act(name, lambda runner: runner.apply(last))

    def _faulted(self, at: Fault, name: str) -> None:
        """Apply the step with the fault in it, and raise its error."""
        command = self.compiled(self.plan.position(at.step)).commands[at.number - 1]
        injector = Injector(at, command, self.box)
        self._act(f"{name}, injected: {at}", lambda runner: runner.apply(at.step), injector)

    # Parts of them.

    def _begin(self, number: int, of: int) -> None:
        self._part = f"part {number} of {of}"

    def _act(
        self, name: str, run: Callable[[Runner], Any], injector: Injector | None = None
    ) -> None:
        self.listener.act(name, self._part)
        injected = str(injector.fault) if injector else ""
        with self._runner(injector) as runner:
            try:
                with self.record.act(
                    name,
                    runner,
                    self.box.watches,
                    self.box.socket_owner,
                    injected=injected,
                    part=self._part,
                ):
                    run(runner)
            finally:
                self.listener.ended(self.record.results, self.record.act_summary)
                for result in runner.results:
                    back = name == ROLLBACK
                    good = "undone" if back else "confirmed"
                    self.verdicts.ran(
                        result.step, "undo" if back else "apply", result.outcome, good
                    )

    def _verify(self, column: Column) -> None:
        with self._runner() as runner:
            verdicts = runner.verify()
        self.record.verified(verdicts)
        self.verdicts.checked(column, verdicts)
        failed = _failed(verdicts)
        when = "after the restart" if column == "reboot" else "after the apply"
        if failed:
            raise Stuck(f"checks fail {when}", evidence=tables.verdicts_table(failed))
        self.listener.note(f"verify {when}: {len(verdicts)} of {len(verdicts)} checks passed")

    def _baselines(self) -> None:
        """Compare each step's fingerprint before it ran with that after its undo. They must be
        identical, since nothing else changes a box.
        """
        with self._runner() as runner:
            found = runner.session.output(_BEFORE_AND_AFTER)
        differ: list[str] = []
        for part in found.split(_MARK)[1:]:
            directory, *lines = part.rstrip("\n").split("\n")
            self.verdicts.say(directory.partition("-")[2], "baseline", not lines)
            differ += [f"{directory}: {line}" for line in lines]
        if differ:
            raise Stuck(
                "after an undo the host was not as before the step", evidence="\n".join(differ)
            )

    def _again(self) -> None:
        """Run all steps a second time: the commands that they yield where they are done."""
        self.listener.note(f"--- {self._part}: running all steps a second time")
        found: list[str] = []
        ran = 0
        with self._runner() as runner:
            runner.connection.take()
            before = _fingerprint(runner.session)
            for position, step in enumerate(self.plan.steps):
                if not step.operations:
                    continue
                commands = _wanted(runner, position)
                for command in commands:
                    line = f"KEEP=/nonexistent sh -eu -c {quote(command.do)} >/dev/null 2>&1"
                    runner.session.run(line, limit=command.limit + _EXTRA)
                ran += len(commands)
                now = _fingerprint(runner.session) if commands else before
                self.verdicts.say(step.name, "again", now == before)
                found += [f"{step.name}: {line}" for line in _differences(before, now)]
                before = now
        if found:
            raise Stuck("a second run changed something", evidence="\n".join(found))
        self.listener.note(f"a second run changed nothing; {ran} commands were run again")

    def must_equal(self, before: list[str], when: str) -> None:
        """Raises Stuck if the host differs from `before`, with the difference."""
        now = self.fingerprint()
        lines = _differences(before, now)
        self.record.compared(when, len(now), lines)
        if now != before:
            raise Stuck(f"{when} the host is not as before", evidence="\n".join(lines))
        self.listener.note(f"{when}: compared with before: identical ({len(now)} facts)")

    @contextmanager
    def _judging(self, verdicts: Verdicts | None = None) -> Iterator[None]:
        """Show the result, however the rehearsal ends, with these verdicts on each step."""
        rows: list[dict[str, str]] = []
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            if verdicts is not None:
                rows = self.record.verdicts = verdicts.rows
            self.listener.verdicts(rows, self.record.summary(error))


_BEFORE_AND_AFTER = f"""cd {JOURNAL}/steps && for step in *; do
echo '{_MARK}'"$step"; comm -3 "$step/print.before" "$step/print.after"; done"""


def _fingerprint(session: Session) -> list[str]:
    return session.output(f"sh {JOURNAL}/host.sh fingerprint").splitlines()


def _differences(before: list[str], now: list[str]) -> list[str]:
    return list(difflib.unified_diff(before, now, "before", "now", lineterm="", n=0))


def _failed(verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if not verdict.passed]


def _wanted(runner: Runner, position: int) -> tuple[Command, ...]:
    """The commands of a step that is done; none if it refuses to run a second time."""
    try:
        return runner.compiled(position).commands
    except Refused:
        return ()


def _yes(step: str, gate: Gate) -> str:
    return "the rehearsal"
