"""The phases: apply, the steady state, rollback; each step must end as it should meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rollout.engine.checks import Verdict
from rollout.engine.listener import Listener, Result
from rollout.engine.runner import Runner
from rollout.errors import CellblockError
from rollout.host.session import Session
from rollout.plan import Plan
from rollout.rehearsal.box import Box
from rollout.site import JOURNAL
from tests.breakin.siege import Siege, Try
from tests.rehearsal.on_standin import yes

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What came of one phase. `played` counts attempts, each in each of its jails."""

    phase: str
    played: int = 0
    names: set[str] = field(default_factory=set)
    succeeded: list[Try] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def note(self, tries: list[Try]) -> None:
        self.played += len(tries)
        self.names |= {each.attempt.name for each in tries}

    def saw(self, tries: list[Try], say: Say) -> None:
        for each in tries:
            if each not in self.succeeded:
                self.succeeded.append(each)
                say(f"  SUCCESS {self.phase}: {each}")


class _Notes(Listener):
    def __init__(self, say: Say, then: Callable[[Result], None]) -> None:
        self._say = say
        self._then = then

    def note(self, text: str) -> None:
        if "the rollback goes on" in text:
            self._say(f"  {text[:400]}")

    def result(self, result: Result) -> None:
        self._say(f"  {result.step}: {result.outcome} {result.reason}".rstrip())
        self._then(result)


class _Quick(Runner):
    """Runs no checks after a step: an emulated processor takes minutes for them."""

    def run_checks(self, *_: object) -> list[Verdict]:
        return []


class Played:
    """One rollout under attack. `quick`: checks run in the steady state and at the end alone."""

    def __init__(self, plan: Plan, box: Box, say: Say, *, quick: bool = False) -> None:
        self.quick = quick
        self.plan = plan
        self.box = box
        self.say = say
        self.siege = Siege(plan.site, box)
        self.planted: list[str] = []
        self.phases: list[Outcome] = []
        self.blind: list[Try] = []
        self.controls = 0
        self.differences: list[str] = []

    @property
    def wrong(self) -> bool:
        found = any(each.succeeded or each.ended for each in self.phases)
        return found or bool(self.blind or self.differences)

    def whole(self) -> None:
        self.siege.prepare()
        with self._runner() as runner:
            runner.connection.take()
            before = _fingerprint(runner.session)
        if self._apply():
            self._steady()
        if self._rollback():
            with self._runner() as runner:
                now = _fingerprint(runner.session)
            self.differences = [
                each for each in sorted(set(before) ^ set(now)) if not self._is_data(each)
            ]

    def _is_data(self, fact: str) -> bool:
        """What was written in the data stays, as it is to, and so does the attacker's."""
        site = self.plan.site
        return any(f" {path}" in fact for jail in site.built for path in site.shared(jail))

    def _runner(self, then: Callable[[Result], None] = lambda result: None) -> Runner:
        notes = _Notes(self.say, then)
        kind = _Quick if self.quick else Runner
        return kind(self.plan, self.box.target, self.box.outside, notes, yes)

    def _verify(self, phase: Outcome) -> None:
        with Runner(self.plan, self.box.target, self.box.outside, Listener(), yes) as runner:
            verdicts = runner.verify()
        self.say(f"  verify: {sum(e.passed for e in verdicts)} of {len(verdicts)}")
        phase.ended += [f"verify: {e.name}: {e.message}" for e in verdicts if not e.passed]

    def _phase(self, name: str) -> Outcome:
        self.say(f"--- {name}")
        self.phases.append(Outcome(name))
        return self.phases[-1]

    def _apply(self) -> bool:
        """Plant what lasts in each jail once its first service is there, and go on."""
        phase = self._phase("apply")
        with self._runner() as runner:
            for step in self.plan.steps:
                if not step.operations:
                    continue
                try:
                    runner.apply(step.name)
                except CellblockError as error:
                    phase.ended.append(
                        f"apply of {step.name}: {error}\n{self._evidence(step.name)}"
                    )
                    return False
                self._plant(step.name, phase)
                phase.saw(self._seen(), self.say)
        return True

    @property
    def _lasting(self) -> list[Try]:
        return self.siege.of(self.planted, lasting=True)

    def _plant(self, step: str, phase: Outcome) -> None:
        service, _, what = step.partition(".")
        site = self.plan.site
        if what != "cutover" or service not in site.services:
            return
        jail = site.jail_of(service)
        if jail not in self.planted:
            self.planted.append(jail)
            tries = self.siege.of([jail], lasting=True)
            self.siege.play(tries)
            phase.note(tries)
            self.say(f"  {len(tries)} attempts last in jail {jail}")

    def _steady(self) -> None:
        phase = self._phase("steady state")
        self.siege.listen()
        once = self.siege.of(self.planted, lasting=False)
        self.siege.play(once)
        phase.note(once + self._lasting)
        phase.saw(self.siege.succeeded(once + self._lasting), self.say)
        self._verify(phase)
        last = self.siege.of(self.planted, last=True)
        self.blind, self.controls = self.siege.blind(once + self._lasting + last)
        self.siege.play(last)
        phase.note(last)
        phase.saw(self.siege.succeeded(last), self.say)
        for each in self.blind:
            self.say(f"  BLIND {each}")

    def _rollback(self) -> bool:
        """What lasts stays in the jails; the host is asked after each undo."""
        phase = self._phase("rollback")
        phase.note(self._lasting)

        def asked(result: Result) -> None:
            phase.saw(self._seen(), self.say)

        with self._runner(asked) as runner:
            try:
                runner.rollback(set_aside=True)
            except CellblockError as error:
                last = runner.results[-1].step if runner.results else "nothing"
                phase.ended.append(f"rollback of {last}: {error}\n{self._evidence(last)}")
                return False
        stay = self._lasting + self.siege.of(self.planted, last=True)
        phase.saw(self.siege.succeeded(stay), self.say)
        return True

    def _seen(self) -> list[Try]:
        """After one step, of what lasts."""
        return self.siege.succeeded(self._lasting, searching=not self.quick)

    def _evidence(self, step: str) -> str:
        at = f"{JOURNAL}/steps/*-{step}"
        return self.siege.sh(f"head -c 3000 {at}/differences; tail -n 15 {at}/log {JOURNAL}/log")


def _fingerprint(session: Session) -> list[str]:
    return session.output(f"sh {JOURNAL}/host.sh fingerprint").splitlines()


def told(played: Played) -> list[str]:
    """The table's lines, and what went wrong."""
    lines = []
    for each in played.phases:
        lines.append(
            f"{each.phase}: {len(each.names)} attempts, {each.played} in all jails, "
            f"{len(each.succeeded)} succeeded"
        )
        lines += [f"  SUCCEEDED {one}" for one in each.succeeded]
        lines += [f"  ENDED WRONG {one}" for one in each.ended]
    names = {name for each in played.phases for name in each.names}
    lines.append(
        f"{sum(len(each.succeeded) for each in played.phases)} of {len(names)} attempts succeeded"
    )
    lines.append(f"{played.controls} planted successes, {len(played.blind)} of them not seen")
    if played.differences:
        lines.append(f"after the rollback {len(played.differences)} facts differ:")
        lines += [f"  {each}" for each in played.differences[:40]]
    left = played.siege.unmodelled
    if left:
        lines.append(f"{len(left)} attempts that this place has no model of:")
        lines += [f"  {each.name}: {each.lacks}" for each in left]
    return lines


__all__ = ["Outcome", "Played", "told"]
