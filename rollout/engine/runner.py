"""Runs steps on the host and undoes them. Only this module acts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from rollout.engine import checks, drift, gates
from rollout.engine.checks import Outside, Verdict
from rollout.engine.connection import Connection
from rollout.engine.listener import Listener, Result
from rollout.errors import CellblockError, Refused, RolledBack, Stuck, Waiting
from rollout.host import bundle, journal
from rollout.host.journal import Entry, Journal
from rollout.host.session import Session, Target
from rollout.plan import Plan
from rollout.plan.step import Check, Gate, Step
from rollout.site import JOURNAL

_STANDING = ("applied", "confirmed")
_EARLIER = {"applying": "being run", "undoing": "being undone"}


@dataclass
class _Noted:
    """What a step's run has come to so far."""

    commands: int = 0
    verdicts: Sequence[Verdict] = ()


class ManualEntry(Protocol):
    """A person who types a step's commands, in the host's place (rollout/runbook/manual.py)."""

    def run(
        self, connection: Connection, made: bundle.Bundle, token: str, said: Mapping[str, str]
    ) -> Entry:
        """Upload the step, wait until it is typed, and return it at rest."""
        ...

    def resume(self, connection: Connection, directory: str) -> Entry:
        """Go on with a step that was interrupted during manual entry."""
        ...


class Runner:
    """One rollout on one host. `answer` is asked at a gate. `results` grows as steps end.

    With `manual` a person types the commands; everything else works as usual.
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
    ) -> None:
        self.plan = plan
        self.outside = outside
        self.listener = listener
        self.answer = answer
        self.manual = manual
        self.connection = Connection(plan, target, listener)
        self.results: list[Result] = []

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.connection.close()

    @property
    def session(self) -> Session:
        return self.connection.session

    # Looking.

    def known(self) -> Journal:
        """The host's journal, which must fit the plan."""
        found = journal.read(self.session)
        journal.must_fit(found, self.plan)
        return found

    def ask(self, wanted: Iterable[Check], *, first: bool = False) -> list[Verdict]:
        """Ask checks; with `first`, up to the first that fails."""
        wanted = list(wanted)
        if not wanted:
            return []
        return checks.run(wanted, self.session, self.plan.site, self.outside, first=first)

    def verify(self) -> list[Verdict]:
        """Ask every check that must hold with the steps that the journal says are confirmed."""
        return self.ask(self._holding({entry.name for entry in self.known().done}))

    def _holding(self, done: Container[str]) -> list[Check]:
        """Steps without operations are never journalled: they count in as far as they lead."""
        position = 0
        for step in self.plan.steps:
            if step.operations and step.name not in done:
                break
            position += 1
        return list(self.plan.checks(position))

    def must_be_well(self, known: Journal, wanted: int) -> None:
        """Run the checks of the steps that have no commands, before anything is begun.

        Raises Refused at the first that fails. What an applied step has changed is no failure,
        though it is not confirmed yet.
        """
        there = [entry for entry in known.entries if entry.being_typed or entry.state in _STANDING]
        holding = set(self._holding({entry.name for entry in there}))
        only_ask = [step for step in self.plan.steps[:wanted] if not step.operations]
        asking = [check for step in only_ask for check in step.checks if check in holding]
        if asking:
            self.listener.note(f"running the preflight checks: {len(asking)}")
        failed = _failed(self.ask(asking, first=True))
        if failed:
            raise Refused(
                f"{self.connection.target.name} does not pass the preflight checks of "
                f"{self.plan.site.path}",
                evidence=_evidence(failed),
                todo="nothing was changed; fix what is named; cellblock check shows all of it",
            )

    def compiled(self, position: int) -> bundle.Bundle:
        """What a step would do to the host as it is now."""
        step = self.plan.steps[position]
        answers = bundle.ask(step, self.session.output)
        return bundle.compile_step(position + 1, step, self.plan.hashes[position], answers)

    # Forward.

    def apply(self, to: str | None = None) -> None:
        """Run every step up to `to` that is not confirmed yet. Raises at the first that fails."""
        wanted = self.plan.upto(to)
        # In the middle of a step or of its undo the checks could not tell anything yet.
        begun = bool(self.known().entries)
        if begun:
            self.connection.take()
        left = {entry.name: self._settled(entry) for entry in self.known().entries}
        self.must_be_well(self.known(), wanted)
        if begun:
            drift.look(self.session, self.listener)
        else:
            self.connection.take()
        for position, step in enumerate(self.plan.steps[:wanted]):
            entry = left.get(step.name)
            if not step.operations or (entry is not None and entry.state == "confirmed"):
                continue
            with self._noting(step.name, "confirmed") as noted:
                self._forward(position, entry, noted)

    def _settled(self, entry: Entry) -> Entry:
        """A step that another run left behind, once it rests. Its guard may be gone: one more."""
        if entry.being_typed:  # no guard: it would undo under his hands
            return entry
        if entry.state in ("applying", "applied", "undoing"):
            self.session.output(f"sh {JOURNAL}/host.sh arm {entry.directory}")
        if entry.state in ("applying", "undoing"):
            self.listener.note(
                f"{entry.name}: {_EARLIER[entry.state]} by an earlier run; waiting for it to end"
            )
            return self.connection.follow(entry.directory)
        return entry

    def _forward(self, position: int, entry: Entry | None, noted: _Noted) -> None:
        step = self.plan.steps[position]
        if entry is not None and entry.state == "stuck":
            raise _stuck(entry)
        if entry is not None and entry.being_typed:
            entry = self._typed_on(step, entry)
        elif entry is not None and entry.state == "applied":
            self.listener.step(step, "applied by an earlier run and not confirmed: checking it")
            entry = self.connection.entry(entry.directory)
        else:
            said = self._pass(step)
            made = self.compiled(position)
            noted.commands = len(made.commands)
            doing = "running" if self.manual is None else "you type"
            self.listener.step(step, f"{doing} {noted.commands} commands", noted.commands)
            entry = self._run(made, said)
        if entry.state != "applied":
            raise self._fell_back(entry)
        noted.verdicts = self._checked(position, entry)
        self.connection.confirm(entry)

    def _typed_on(self, step: Step, entry: Entry) -> Entry:
        if self.manual is None:
            raise Refused(
                f"{step.name} is being typed by hand by {entry.hand}",
                todo="go on with apply --by-hand, or undo it with rollback",
            )
        self.listener.step(step, f"interrupted during manual entry by {entry.hand}")
        return self.manual.resume(self.connection, entry.directory)

    def gate(self, step: Step) -> Gate | None:
        """The step's gate, with what the host says to it; None where there is nothing to ask."""
        gate = step.gate
        if gate is None or not gate.unless:
            return gate
        found = [verdict.message for verdict in _failed(self.ask(gate.unless))]
        return replace(gate, look_at=(*gate.look_at, *found)) if found else None

    def found(self, step: Step) -> tuple[str, ...]:
        """What the host has beside the step that a plan is to list."""
        verdicts = self.ask(step.finds)
        self.session.output(":")  # a connection that ended on the way is not something found
        return tuple(verdict.message for verdict in _failed(verdicts))

    def _pass(self, step: Step) -> dict[str, str]:
        """What the journal is to keep of the answer; nothing where there was nothing to ask."""
        gate = self.gate(step)
        if gate is None:
            return {}
        self.listener.gate(step, gate)
        said = self.answer(step.name, gate)
        if not said:
            raise Waiting(
                f"{step.name} waits for a yes: {gate.question}",
                evidence="\n".join(gate.look_at),
                todo="look at these, then run cellblock apply and answer, or apply --yes",
            )
        self.listener.note(f"{step.name}: gate: {gate.question} yes, {said}")
        return gates.record(gate, said)

    def _run(self, made: bundle.Bundle, said: Mapping[str, str]) -> Entry:
        token = secrets.token_hex(8)
        if self.manual is not None:
            return self.manual.run(self.connection, made, token, said)
        self.session.output(bundle.upload_script(made, token, JOURNAL, said))
        return self.connection.follow(made.directory)

    def _checked(self, position: int, entry: Entry) -> list[Verdict]:
        wanted = list(self.plan.checks(position + 1))
        self.listener.checking(entry.name, len(wanted), entry.left)
        verdicts = self.ask(wanted)
        if not self.session.alive:
            self.connection.renew(entry.directory)
            verdicts = self.ask(wanted)
        failed = _failed(verdicts)
        if failed:
            reason = f"{len(failed)} checks failed"
            undone = self._undo(entry, reason, _evidence(failed))
            what = f"its commands ran, but {len(failed)} of {len(verdicts)} checks failed"
            todo = ""
            if undone.reason != reason:  # the checks may have failed because it was undone
                what = f"{undone.reason}, while its checks were running"
                todo = "raise [run] confirm_within, or find out what was slow"
            raise RolledBack(
                f"{entry.name}: {what}; it was rolled back; compared with before: identical",
                evidence=_evidence(failed),
                todo=todo,
            )
        return verdicts

    def _fell_back(self, entry: Entry) -> CellblockError:
        if entry.state != "undone":
            return _stuck(entry)
        log = f"{JOURNAL}/steps/{entry.directory}/log"
        evidence = self.session.run(f"tail -n 15 {log}").out
        if entry.reason.startswith(("the host changed", "the disk is full")):
            return Refused(
                f"{entry.name}: {entry.reason}",
                evidence=evidence,
                todo="nothing was done; free some space, or see with cellblock plan what changed; "
                "then apply again",
            )
        return RolledBack(
            f"{entry.name}: {entry.reason or 'it failed'}; it was rolled back; "
            "compared with before: identical",
            evidence=evidence,
            todo=f"nothing is left to repair; the whole log is {log} on the host; "
            f"mend the cause, see cellblock plan {entry.name}, then apply again",
        )

    # Back.

    def rollback(self, to: str | None = None, *, set_aside: bool = False) -> None:
        """Undo the steps after `to`, last first; all of them without a name.

        Raises Refused where that would destroy what others changed since; with `set_aside` that is
        kept on the host, and the way back is gone.
        """
        keep = 0 if to is None else self.plan.upto(to)
        kept = {self.plan.directory(n) for n in range(keep)}
        journal.must_belong(journal.read(self.session), self.plan)
        self.connection.take()
        begun = [e for e in journal.read(self.session).entries if e.directory not in kept]
        self._refuse_no_return(begun)
        begun = [self._settled(entry) for entry in begun]
        standing = [entry.directory for entry in begun if entry.state in _STANDING]
        # What a half-done undo, or a person half-way, left would look like others' work; each undo
        # sees for itself, too, whether a file is still ours.
        if standing and not any(entry.being_typed or entry.state == "stuck" for entry in begun):
            drift.must_spare(self.session, self.listener, standing, set_aside=set_aside)
        for entry in reversed(begun):
            if entry.state not in ("undone", "prepared"):
                with self._noting(entry.name, "undone") as noted:
                    self._back(entry, noted)

    def _refuse_no_return(self, begun: Iterable[Entry]) -> None:
        final = {step.name for step in self.plan.steps if step.point_of_no_return}
        for entry in begun:
            if entry.name in final and entry.state == "confirmed":
                raise Refused(
                    f"{entry.name} was a point of no return: it and the steps before it cannot be "
                    "undone",
                    todo=f"rollback --to {entry.name} undoes what came after it",
                )

    def _back(self, entry: Entry, noted: _Noted) -> None:
        self._undo(entry, "rollback")
        before = entry.number - 1
        wanted = list(self.plan.checks(before))
        self.listener.checking(entry.name, len(wanted))
        noted.verdicts = self.ask(wanted)
        failed = _failed(noted.verdicts)
        if failed:
            raise Stuck(
                f"{entry.name} was undone, but checks of the steps before it fail",
                evidence=_evidence(failed),
                todo="repair what is named by hand, then run cellblock verify",
            )

    def _undo(self, entry: Entry, reason: str, evidence: str = "") -> Entry:
        """Have the host undo a step. Raises Stuck when it did not come all the way back.

        At a step's deadline the host may be before us, and have a reason of its own.
        """
        self.listener.undoing(entry.name, reason)
        begun = self.session.run(f"sh {JOURNAL}/host.sh start-undo {entry.directory} '{reason}'")
        undone = self.connection.follow(entry.directory)
        if undone.state != "undone":
            raise _stuck(undone, evidence or begun.err)
        return undone

    @contextmanager
    def _noting(self, step: str, outcome: str) -> Iterator[_Noted]:
        """Note what the step came to, however it ends."""
        began = time.time()
        channels, trips = self.connection.channels, self.connection.trips
        noted = _Noted()
        came_to, reason = "interrupted", ""
        try:
            yield noted
            came_to = outcome
        except CellblockError as error:
            came_to, reason = type(error).__name__.lower(), error.what
            raise
        finally:
            result = Result(
                step,
                came_to,
                noted.commands,
                tuple(noted.verdicts),
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
