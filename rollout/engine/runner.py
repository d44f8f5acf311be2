"""Runs steps on the host and undoes them. Only this module acts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from rollout.engine import checks, drift, gates
from rollout.engine.checks import Outside, Verdict
from rollout.engine.connection import Connection
from rollout.engine.listener import Listener, Result
from rollout.errors import CellblockError, Refused, RolledBack, Stuck, Waiting
from rollout.host import bundle, journal
from rollout.host.journal import Entry, Journal
from rollout.host.session import Said, Session, Target
from rollout.plan import Plan
from rollout.plan.step import Check, Gate, Step
from rollout.site import JOURNAL

_STANDING = ("applied", "confirmed")
_EARLIER = {"applying": "being run", "undoing": "being undone"}


@dataclass
class _StepRun:
    """What is known so far of a step's run."""

    commands: int = 0
    verdicts: Sequence[Verdict] = ()


@dataclass(frozen=True)
class Fitting:
    """Steps by their numbers, and what the host says to the facts that they need."""

    steps: Mapping[int, Step]
    said: Callable[[], Said]

    def must_fit(self) -> None:
        """Compile the steps. Raises Refused with all that have to refuse this host, before anything
        is begun.
        """
        answers = {}
        for line, each in self.said().items():
            if isinstance(each, Exception):
                raise each
            answers[line] = bundle.rows(each.out)
        refused: dict[str, Refused] = {}
        for number, step in self.steps.items():
            try:
                bundle.compile_step(number, step, answers)
            except Refused as error:
                refused.setdefault(str(error), error)
        if len(refused) == 1:
            raise next(iter(refused.values()))
        if refused:
            what = f"{len(refused)} steps refuse this host"
            raise Refused(what, evidence="\n".join(refused))


class ManualEntry(Protocol):
    """A person who types a step's commands, in the host's place (rollout/runbook/manual.py)."""

    def run(
        self, connection: Connection, made: bundle.Bundle, token: str, gate: Mapping[str, str]
    ) -> Entry:
        """Upload the step, wait until it is typed and rests, and return its entry."""
        ...

    def resume(self, connection: Connection, directory: str) -> Entry:
        """Continue a step that was interrupted during manual entry."""
        ...


class Runner:
    """One rollout on one host. It calls `answer` at gates. `results` grows as steps end.

    With `manual` a person types the commands; everything else works as usual. With a `session`,
    such as one that answers from a survey, the host is read by that.
    """

    def __init__(
        self,
        plan: Plan,
        target: Target,
        outside: Outside,
        listener: Listener,
        answer: gates.Answer = gates.nobody,
        *,
        manual: ManualEntry | None = None,
        session: Session | None = None,
    ) -> None:
        self.plan = plan
        self.outside = outside
        self.listener = listener
        self.answer = answer
        self.manual = manual
        self.connection = Connection(plan, target, listener, session)
        self.results: list[Result] = []

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.connection.close()

    @property
    def session(self) -> Session:
        return self.connection.session

    # Reading.

    def known(self) -> Journal:
        """The host's journal. Raises Refused if it does not fit the plan."""
        found = journal.read(self.session)
        journal.must_fit(found, self.plan)
        return found

    def run_checks(
        self, wanted: Iterable[Check], ahead: Callable[[], Said] = dict
    ) -> list[Verdict]:
        wanted = list(wanted)
        if not wanted:
            return []
        return checks.run(wanted, self.session, self.plan.site, self.outside, ahead)

    def verify(self, *, leaving: bool = True) -> list[Verdict]:
        """Run all checks of the confirmed steps. Without `leaving`, none that leaves something on
        the host.
        """
        return self._verified(self.known(), leaving=leaving)

    def check(self) -> tuple[list[Verdict], Fitting]:
        """The same, and what tells whether the steps that have not begun fit the host."""
        known = self.known()
        fitting = self.begin_to_fit(known, len(self.plan.steps))
        return self._verified(known, fitting.said), fitting

    def _verified(
        self, known: Journal, ahead: Callable[[], Said] = dict, *, leaving: bool = True
    ) -> list[Verdict]:
        due = self._due({entry.name for entry in known.done})
        return self.run_checks([each for each in due if leaving or not each.leaves], ahead)

    def _due(self, done: Container[str]) -> list[Check]:
        """The checks that must pass once these steps are done."""
        return list(self.plan.checks(self.plan.reached(done)))

    def must_pass_preflight(
        self, known: Journal, wanted: int, ahead: Callable[[], Said] = dict
    ) -> None:
        """Run the checks of the steps that have no commands, before anything is begun.

        Raises Refused with all that fail. It allows for what an applied step has changed, even if
        that step is not confirmed yet.
        """
        there = [entry for entry in known.entries if entry.being_typed or entry.state in _STANDING]
        due = set(self._due({entry.name for entry in there}))
        preflight = [step for step in self.plan.steps[:wanted] if not step.operations]
        wanted_checks = [check for step in preflight for check in step.checks if check in due]
        # What a person should know first; once something is in place, the moment has come.
        moment = [] if there else [check for step in preflight for check in step.finds]
        if wanted_checks:
            self.listener.note(f"running the preflight checks: {len(wanted_checks)}")
        found = _failed(self.run_checks([*wanted_checks, *moment], ahead))
        told = {checks.named(each) for each in moment}
        for verdict in found:
            if verdict.name in told:
                self.listener.note(f"before you begin: {verdict.message}")
        failed = [verdict for verdict in found if verdict.name not in told]
        if failed:
            raise Refused(
                f"{self.connection.target.name} does not pass the preflight checks of "
                f"{self.plan.site.path}",
                evidence=_evidence(failed),
                todo="nothing was changed; fix what is named",
            )

    def compiled(self, position: int) -> bundle.Bundle:
        """Compile a step for the host as it is now."""
        [made] = self.compiled_at_once([position])
        return made

    def compiled_at_once(self, positions: Sequence[int]) -> list[bundle.Bundle]:
        """Compile some steps for the host as it is now, in one round trip."""
        steps = {n: self.plan.steps[n] for n in positions}
        # The facts of all steps are one command: a hundred programs, on however slow a host.
        run = partial(self.session.output, limit=600)
        known = {line: bundle.rows(said.out) for line, said in self.session.known.items()}
        answers = bundle.gather_facts(steps.values(), run, known)
        return [bundle.compile_step(n + 1, step, answers) for n, step in steps.items()]

    def begin_to_fit(self, known: Journal, wanted: int) -> Fitting:
        """Have the host gather the facts of the first steps, those that have not begun: it does so
        while we find the checks, which need not ask them again.
        """
        begun = {entry.name for entry in known.begun}
        steps = enumerate(self.plan.steps[:wanted], 1)
        left = {number: step for number, step in steps if step.name not in begun}
        asked = bundle.all_fact_commands(left.values())
        return Fitting(left, self.session.begin(asked, limit=600))

    # Forward.

    def apply(self, to: str | None = None) -> None:
        """Run every step up to `to` that is not confirmed yet. Raises at the first that fails."""
        wanted = self.plan.upto(to)
        # While a step is being run or undone, its checks mean nothing.
        begun = bool(self.known().entries)
        if begun:
            self.connection.take()
        left = {entry.directory: self._at_rest(entry) for entry in self.known().entries}
        known = self.known()
        fitting = self.begin_to_fit(known, wanted)
        self.must_pass_preflight(known, wanted, fitting.said)
        fitting.must_fit()
        if begun:
            drift.report(self.session, self.listener)
        else:
            self.connection.take()
        for position, step in enumerate(self.plan.steps[:wanted]):
            entry = left.get(self.plan.directory(position))
            if not step.operations or (entry is not None and entry.state == "confirmed"):
                continue
            with self._recording(step.name, "confirmed") as step_run:
                self._forward(position, entry, step_run)

    def _at_rest(self, entry: Entry) -> Entry:
        """Wait until a step of an earlier run rests. Its guard may be gone, so a new one starts."""
        if entry.being_typed:  # no guard: it would undo the step while somebody types it
            return entry
        if entry.state in ("applying", "applied", "undoing"):
            self.session.output(f"sh {JOURNAL}/host.sh arm {entry.directory}")
        if entry.state in ("applying", "undoing"):
            self.listener.note(
                f"{entry.name}: {_EARLIER[entry.state]} by an earlier run; waiting for it to end"
            )
            return self.connection.follow(entry.directory)
        return entry

    def _forward(self, position: int, entry: Entry | None, step_run: _StepRun) -> None:
        step = self.plan.steps[position]
        if entry is not None and entry.state == "stuck":
            raise _stuck(entry)
        if entry is not None and entry.being_typed:
            entry = self._resume_manual(step, entry)
        elif entry is not None and entry.state == "applied":
            self.listener.step(step, "applied by an earlier run and not confirmed: checking it")
            entry = self.connection.entry(entry.directory)
        else:
            gate = self._pass_gate(step)
            made = self.compiled(position)
            step_run.commands = len(made.commands)
            doing = "running" if self.manual is None else "you type"
            self.listener.step(step, f"{doing} {step_run.commands} commands", step_run.commands)
            entry = self._run(made, gate)
        if entry.state != "applied":
            raise self._failure(entry, step_run.commands)
        step_run.verdicts = self._checked(position, entry)
        self.connection.confirm(entry)

    def _resume_manual(self, step: Step, entry: Entry) -> Entry:
        if self.manual is None:
            raise Refused(
                f"{step.name} is being typed by hand by {entry.hand}",
                todo="continue with apply --by-hand, or undo it with rollback",
            )
        self.listener.step(step, f"interrupted during manual entry by {entry.hand}")
        return self.manual.resume(self.connection, entry.directory)

    def gate(self, step: Step) -> Gate | None:
        """The step's gate, with what was found on the host; None if no question is needed."""
        gate = step.gate
        if gate is None or not gate.unless:
            return gate
        found = [verdict.message for verdict in _failed(self.run_checks(gate.unless))]
        return replace(gate, look_at=(*gate.look_at, *found)) if found else None

    def found(self, step: Step) -> tuple[str, ...]:
        """What a plan lists as found on the host, besides the step's own commands."""
        verdicts = self.run_checks(step.finds)
        self.session.output(":")  # raises if the connection ended: that is not a finding
        return tuple(verdict.message for verdict in _failed(verdicts))

    def _pass_gate(self, step: Step) -> dict[str, str]:
        """Ask at the step's gate. Returns the journal's files about it; none without a gate."""
        gate = self.gate(step)
        if gate is None:
            return {}
        self.listener.gate(step, gate)
        who = self.answer(step.name, gate)
        if not who:
            raise Waiting(
                f"{step.name} waits at its gate: {gate.question}",
                evidence="\n".join(gate.look_at),
                todo="look at these, then run cellblock apply and answer, or apply --yes",
            )
        self.listener.note(f"{step.name}: gate: {gate.question}\n    yes, {who}")
        return gates.record(gate, who)

    def _run(self, made: bundle.Bundle, gate: Mapping[str, str]) -> Entry:
        token = secrets.token_hex(8)
        if self.manual is not None:
            return self.manual.run(self.connection, made, token, gate)
        upload = bundle.upload_script(made, token, JOURNAL, gate)
        return self.connection.start(upload, made.directory, token)

    def _checked(self, position: int, entry: Entry) -> list[Verdict]:
        wanted = list(self.plan.checks(position + 1))
        self.listener.checking(entry.name, len(wanted), entry.left)
        verdicts = self.run_checks(wanted)
        if not self.session.alive:
            self.connection.renew(entry.directory)
            verdicts = self.run_checks(wanted)
        failed = _failed(verdicts)
        if failed:
            reason = f"{len(failed)} checks failed"
            undone = self._undo(entry, reason, _evidence(failed))
            what = f"its commands ran, but {len(failed)} of {len(verdicts)} checks failed"
            todo = ""
            if undone.reason != reason:  # the host undid it first, so the checks may fail for that
                what = f"{undone.reason}, while its checks were running"
                todo = "raise [run] confirm_within, or find out what was slow"
            raise RolledBack(
                f"{entry.name}: {what}; it was rolled back; compared with before: identical",
                evidence=_evidence(failed),
                todo=todo,
            )
        return verdicts

    def _failure(self, entry: Entry, commands: int) -> CellblockError:
        """The error for a step of so many commands that did not reach "applied"."""
        if entry.state != "undone":
            return _stuck(entry)
        log = f"{JOURNAL}/steps/{entry.directory}/log"
        why = journal.in_words(entry.reason, commands) or "it failed"
        evidence = self.session.run(journal.shown(log, entry.reason)).out
        if entry.reason.startswith(("the host changed", "the disk is full")):
            return Refused(
                f"{entry.name}: {entry.reason}",
                evidence=evidence,
                todo="nothing was done; free some space, or see in cellblock plan what changed; "
                "then apply again",
            )
        return RolledBack(
            f"{entry.name}: {why}; it was rolled back; compared with before: identical",
            evidence=evidence,
            todo=f"nothing has to be repaired; the whole log is {log} on the host; "
            f"correct the cause (see cellblock plan {entry.name}), then cellblock apply",
        )

    # Back.

    def rollback(self, to: str | None = None, *, set_aside: bool = False) -> None:
        """Undo the steps after `to`, last first; all of them without a name.

        Raises Refused if that would destroy what others changed since. With `set_aside` it saves
        these changes on the host first, and goes on.
        """
        keep = 0 if to is None else self.plan.upto(to)
        kept = {self.plan.directory(n) for n in range(keep)}
        journal.must_keep(journal.read(self.session), self.plan, keep)
        self.connection.take()
        found = journal.read(self.session)
        same = journal.same(found, self.plan)
        if others := [entry.name for entry in journal.differing(found, self.plan)]:
            self.listener.note(
                f"{self.plan.site.path} has these otherwise, so no checks of theirs are run on the "
                f"way back: {', '.join(others)}"
            )
        begun = [entry for entry in found.entries if entry.directory not in kept]
        self._refuse_no_return(begun)
        begun = [self._at_rest(entry) for entry in begun]
        standing = [entry.directory for entry in begun if entry.state in _STANDING]
        # After a half-done undo or half-typed step, our own changes would look like drift. Besides,
        # each undo checks itself whether a file is still ours.
        if standing and not any(entry.being_typed or entry.state == "stuck" for entry in begun):
            drift.must_preserve(self.session, self.listener, standing, set_aside=set_aside)
        going = [entry for entry in begun if entry.begun]
        for entry in reversed(going):
            with self._recording(entry.name, "undone") as step_run:
                before, stay = (min(each.number - 1, same) for each in (entry, going[0]))
                self._back(entry, step_run, before, stay)

    def _refuse_no_return(self, begun: Iterable[Entry]) -> None:
        final = {step.name for step in self.plan.steps if step.point_of_no_return}
        for entry in begun:
            if entry.name in final and entry.state == "confirmed":
                raise Refused(
                    f"{entry.name} was a point of no return: it and the steps before it cannot be "
                    "undone",
                    todo=f"rollback --to {entry.name} undoes what came after it",
                )

    def _back(self, entry: Entry, step_run: _StepRun, before: int, keep: int) -> None:
        """Undo a step that `before` steps precede, in a rollback after which the first `keep` stay.

        What a step claims that is undone next may be false: whoever has broken into its jail could
        otherwise stop the rollback there.
        """
        self._undo(entry, "rollback")
        wanted = list(self.plan.checks(before, back=True))
        staying = {checks.named(each) for each in self.plan.checks(keep, back=True)}
        going = {checks.named(each) for each in wanted} - staying
        self.listener.checking(entry.name, len(wanted))
        step_run.verdicts = self.run_checks(wanted)
        failed = [each for each in _failed(step_run.verdicts) if each.name not in going]
        if false := [each for each in _failed(step_run.verdicts) if each.name in going]:
            self.listener.note(
                "checks fail of steps that are undone next; the rollback goes on:\n"
                f"{_evidence(false)}"
            )
        if failed:
            raise Stuck(
                f"{entry.name} was undone, but checks of the steps before it fail",
                evidence=_evidence(failed),
                todo="repair what is named by hand, then run cellblock verify",
            )

    def _undo(self, entry: Entry, reason: str, evidence: str = "") -> Entry:
        """Have the host undo a step. Raises Stuck if the undo did not succeed.

        At the step's deadline the host may begin first, with a reason of its own.
        """
        self.listener.undoing(entry.name, reason)
        undone, against = self.connection.undo(entry.directory, reason)
        if undone.state != "undone":
            raise _stuck(undone, evidence or against)
        return undone

    @contextmanager
    def _recording(self, step: str, intended: str) -> Iterator[_StepRun]:
        """Record the step's result, however it ends; `intended` is its outcome if nothing fails."""
        began = time.time()
        channels, trips = self.connection.channels, self.connection.trips
        step_run = _StepRun()
        outcome, reason = "interrupted", ""
        try:
            yield step_run
            outcome = intended
        except CellblockError as error:
            outcome, reason = type(error).__name__.lower(), error.what
            raise
        finally:
            result = Result(
                step,
                outcome,
                step_run.commands,
                tuple(step_run.verdicts),
                self.connection.channels - channels,
                self.connection.trips - trips,
                began,
                time.time(),
                reason,
            )
            self.results.append(result)
            self.listener.result(result)


def _failed(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if not verdict.passed]


def _evidence(failed: Iterable[Verdict]) -> str:
    return "\n".join(f"{verdict.name}: {verdict.message}" for verdict in failed)


def _stuck(entry: Entry, more: str = "") -> Stuck:
    there = f"{JOURNAL}/steps/{entry.directory}"
    return Stuck(
        f"{entry.name} is {entry.state}: {entry.stuck or entry.reason}",
        evidence=more,
        todo=f"on the host, read {there}/log, {there}/differences and {there}/undo; "
        "repair it by hand; cellblock status says what to type then",
    )
