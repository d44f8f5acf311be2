"""Runs steps on the host and takes them back. Only this module acts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from rollout import bundle, checks, journal
from rollout.checks import Outside, Verdict
from rollout.errors import CellblockError, Refused, RolledBack, Stuck, Unreachable, Waiting
from rollout.host import Session, Target
from rollout.journal import Entry
from rollout.plan import Plan
from rollout.site import JOURNAL
from rollout.step import Check, Gate, Step

_UNDO_LIMIT = 1800.0
_RECONNECT_FOR = 60.0


@dataclass(frozen=True)
class Result:
    """What became of one step, and what it cost: connections opened, round trips made."""

    step: str
    outcome: str
    commands: int
    checks: tuple[Verdict, ...]
    channels: int
    trips: int
    began: float
    ended: float
    note: str = ""

    @property
    def passed(self) -> int:
        return sum(verdict.passed for verdict in self.checks)


class Told:
    """What a run tells while it goes on. This one keeps silent; the command line's prints."""

    def step(self, step: Step, doing: str) -> None: ...

    def line(self, text: str) -> None: ...

    def result(self, result: Result) -> None: ...

    def note(self, text: str) -> None: ...


def _no(gate: Gate) -> bool:
    return False


@dataclass
class Runner:
    """One rollout on one host. `answer` is asked at a gate; without one, a gate stops the run."""

    plan: Plan
    target: Target
    outside: Outside
    told: Told = field(default_factory=Told)
    answer: Callable[[Gate], bool] = _no

    def __post_init__(self) -> None:
        self._channels = 0
        self._trips = 0
        self._session: Session | None = None
        self.results: list[Result] = []

    # What it costs: every connection and every round trip goes through these two.

    def _open(self) -> Session:
        self._channels += 1
        return Session(self.target)

    def _spent(self) -> tuple[int, int]:
        return self._channels, self._trips + (self._session.trips if self._session else 0)

    @property
    def session(self) -> Session:
        if self._session is None:
            self._session = self._open()
        return self._session

    def close(self) -> None:
        if self._session is not None:
            with suppress(CellblockError):  # with the connection gone, so is the lock's owner
                journal.release(self._session)
            self._session.close()
            self._session = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _note(self, result: Result) -> None:
        self.results.append(result)
        self.told.result(result)

    # Forward.

    def apply(self, to: str | None = None) -> None:
        """Run every step up to `to` that is not confirmed yet. Raises at the first that fails."""
        wanted = self.plan.upto(to)
        known = journal.read(self.session)
        journal.must_fit(known, self.plan)
        self._refuse_unwell(len(known.done), wanted)
        journal.take(self.session, self.plan)
        for position in range(wanted):
            step = self.plan.steps[position]
            if not step.operations:
                continue
            entry = journal.read(self.session).entry(step.name)
            if entry is not None:
                entry = self._settled(entry)
            if entry is not None and entry.state == "confirmed":
                continue
            self._note(self._step(position, entry))

    def _refuse_unwell(self, done: int, wanted: int) -> None:
        """Steps without operations only ask. They are asked before anything is begun."""
        asking = [
            check
            for step in self.plan.steps[:wanted]
            if not step.operations
            for check in step.checks
            if check in set(self._holding(done))
        ]
        failed = [verdict for verdict in self.ask(asking) if not verdict.passed]
        if failed:
            raise Refused(
                f"{self.target.name}: not as the site file says, or not well; nothing was changed",
                evidence=_evidence(failed),
                todo="mend what is named, or the site file, and run it again",
            )

    def _holding(self, done: int) -> list[Check]:
        """The checks that hold with `done` steps of the journal confirmed.

        Steps without operations are never journalled, so they are counted in as far as they lead.
        """
        position = 0
        while position < len(self.plan.steps) and (
            done or not self.plan.steps[position].operations
        ):
            done -= bool(self.plan.steps[position].operations)
            position += 1
        return list(self.plan.checks(position))

    def ask(self, wanted: Iterable[Check]) -> list[Verdict]:
        wanted = list(wanted)
        return checks.run(wanted, self.session, self.plan.site, self.outside) if wanted else []

    def verify(self) -> list[Verdict]:
        """Ask every check that must hold with the steps that the journal says are confirmed."""
        known = journal.read(self.session)
        journal.must_fit(known, self.plan)
        return self.ask(self._holding(len(known.done)))

    def compiled(self, position: int) -> bundle.Bundle:
        """What a step would do to the host as it is now."""
        step = self.plan.steps[position]
        answers = bundle.ask(step, self.session.output)
        return bundle.compile_step(position + 1, step, self.plan.hashes[position], answers)

    def _settled(self, entry: Entry) -> Entry:
        """A step that another run left behind, once it rests."""
        if entry.state in ("applying", "undoing"):
            self.told.note(f"{entry.name}: {entry.state} by an earlier run; waiting for its end")
            self._follow(entry.directory)
            return self._entry(entry.directory)
        return entry

    def _entry(self, directory: str) -> Entry:
        for entry in journal.read(self.session).entries:
            if entry.directory == directory:
                return entry
        raise Refused(f"the journal has no step {directory}", todo="look at deploy.py status")

    def _step(self, position: int, entry: Entry | None) -> Result:
        step = self.plan.steps[position]
        began, (channels, trips) = time.time(), self._spent()
        if entry is not None and entry.state == "stuck":
            raise _stuck(entry)
        commands = 0
        if entry is None or entry.state != "applied":
            if step.gate and not self.answer(step.gate):
                raise Waiting(
                    f"{step.name} waits for a yes: {step.gate.question}",
                    evidence="\n".join(step.gate.look_at),
                    todo="look, then apply again with --yes",
                )
            made = self.compiled(position)
            commands = len(made.commands)
            self.told.step(step, f"running {commands} commands")
            entry = self._run(made)
        else:
            self.told.step(step, "applied by an earlier run, not confirmed: checking it")
        if entry.state == "applied":
            verdicts = self._checked(position, step, entry)
        else:
            raise self._failed(step, entry)
        now_channels, now_trips = self._spent()
        return Result(
            step.name,
            "confirmed",
            commands,
            tuple(verdicts),
            now_channels - channels,
            now_trips - trips,
            began,
            time.time(),
        )

    def _run(self, made: bundle.Bundle) -> Entry:
        token = secrets.token_hex(8)
        self.session.output(bundle.upload_script(made, token, JOURNAL))
        self._follow(made.directory)
        return self._entry(made.directory)

    def _checked(self, position: int, step: Step, entry: Entry) -> list[Verdict]:
        verdicts = self.ask(self.plan.checks(position + 1))
        failed = [verdict for verdict in verdicts if not verdict.passed]
        if failed:
            undone = self._undo(entry, f"{len(failed)} check(s) failed")
            if undone.state == "stuck":
                raise _stuck(undone, _evidence(failed))
            raise RolledBack(
                f"{step.name}: its commands ran, but {len(failed)} of {len(verdicts)} checks "
                "failed; it was undone and the host is as before",
                evidence=_evidence(failed),
            )
        self._confirm(entry)
        return verdicts

    def _confirm(self, entry: Entry) -> None:
        """Over a brand-new connection: the proof that people can still get in."""
        with self._open() as fresh:
            self._trips += 1
            result = fresh.run(f"sh {JOURNAL}/host.sh confirm {entry.directory} {entry.token}")
        if result.code != 0:
            now = self._settled(self._entry(entry.directory))
            if now.state == "stuck":
                raise _stuck(now)
            raise RolledBack(
                f"{entry.name}: the confirm came too late; the host had undone it by itself",
                evidence=now.reason,
                todo="raise [policy] confirm_within, or find out what was slow",
            )

    def _failed(self, step: Step, entry: Entry) -> CellblockError:
        if entry.state == "stuck":
            return _stuck(entry)
        tail = self.session.run(f"tail -n 15 {JOURNAL}/steps/{entry.directory}/log").out
        return RolledBack(
            f"{step.name}: {entry.reason or 'it failed'}; it was undone and the host is as before",
            evidence=tail,
            todo=f"the whole log: {JOURNAL}/steps/{entry.directory}/log on the host",
        )

    # Back.

    def rollback(self, to: str | None = None) -> None:
        """Undo the steps after `to`, last first; all of them without a name."""
        keep = 0 if to is None else self.plan.upto(to)
        known = journal.read(self.session)
        journal.must_fit(known, self.plan)
        kept = {self.plan.directory(n) for n in range(keep)}
        journal.take(self.session, self.plan)
        for entry in map(self._settled, reversed(known.entries)):
            if entry.directory in kept or entry.state in ("undone", "prepared"):
                continue
            self._note(self._step_back(entry))

    def _step_back(self, entry: Entry) -> Result:
        position = self.plan.position(entry.name)
        began, (channels, trips) = time.time(), self._spent()
        self.told.step(self.plan.steps[position], "undoing")
        undone = self._undo(entry, "rollback")
        if undone.state == "stuck":
            raise _stuck(undone)
        verdicts = self.ask(self.plan.checks(position))
        failed = [verdict for verdict in verdicts if not verdict.passed]
        if failed:
            raise Stuck(
                f"{entry.name} was undone, but checks of the steps before it fail",
                evidence=_evidence(failed),
                todo="mend what is named by hand, then run verify",
            )
        now_channels, now_trips = self._spent()
        return Result(
            entry.name,
            "undone",
            0,
            tuple(verdicts),
            now_channels - channels,
            now_trips - trips,
            began,
            time.time(),
        )

    def _undo(self, entry: Entry, reason: str) -> Entry:
        self.session.output(f"sh {JOURNAL}/host.sh start-undo {entry.directory} '{reason}'")
        self._follow(entry.directory)
        return self._entry(entry.directory)

    # The connection.

    def _follow(self, directory: str) -> None:
        """Wait until a step rests, telling its log; over a new connection if this one ends."""
        command = f"sh {JOURNAL}/host.sh follow {directory}"
        try:
            self.session.run(command, limit=_UNDO_LIMIT, line=self.told.line)
        except Unreachable as error:
            self._reconnect(error)
            self.session.run(command, limit=_UNDO_LIMIT, line=self.told.line)

    def _reconnect(self, error: Unreachable) -> None:
        self.told.note(f"{error.what}; the host goes on by itself, trying to reach it again")
        self._trips += self.session.trips
        self.session.close()
        self._session = None
        deadline = time.monotonic() + _RECONNECT_FOR
        while True:
            try:
                journal.read(self.session)
                journal.take(self.session, self.plan)
                return
            except Unreachable as again:
                self._session = None
                if time.monotonic() > deadline:
                    raise Unreachable(
                        again.what,
                        evidence=again.evidence,
                        todo="without a confirm the host undoes the step by itself at its "
                        "deadline; run status when it can be reached again",
                    ) from None
                time.sleep(1)


def _stuck(entry: Entry, more: str = "") -> Stuck:
    there = f"{JOURNAL}/steps/{entry.directory}"
    return Stuck(
        f"{entry.name} is stuck: {entry.stuck or entry.reason}",
        evidence=more,
        todo=f"on the host: see {there}/log, {there}/differences and {there}/undo; "
        "mend it by hand, then run rollback again",
    )


def _evidence(failed: Iterable[Verdict]) -> str:
    return "\n".join(f"{verdict.name}: {verdict.message}" for verdict in failed)
