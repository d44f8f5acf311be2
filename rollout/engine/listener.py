"""What a run tells while it goes on, and what it notes of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout.engine.checks import Verdict
from rollout.plan.step import Gate, Step


@dataclass(frozen=True)
class Result:
    """What became of one step, and what it cost: connections opened, round trips made.

    `began` and `ended` are seconds since the epoch. `reason` says in one line why a step did not
    come to what it was to come to.
    """

    step: str
    outcome: str
    commands: int
    checks: tuple[Verdict, ...]
    channels: int
    trips: int
    began: float
    ended: float
    reason: str = ""

    @property
    def passed(self) -> int:
        return sum(verdict.passed for verdict in self.checks)


class Listener:
    """Keeps silent; those of the command line print, draw, stream, or run the user's hook.

    Whoever is told must not raise: a run does not fail because nobody could hear of it.
    """

    def act(self, name: str) -> None:
        """A run begins: "apply", "rollback", or one of those that a rehearsal is made of."""

    def watching(self, results: Path) -> None:
        """The prober writes there, from now on, what the services answer."""

    def gate(self, step: Step, gate: Gate) -> None:
        """A person's yes is wanted before the step."""

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        """A step begins, or is taken up where an earlier run left it; then without commands."""

    def line(self, text: str) -> None:
        """A line of the host's log of the step at hand."""

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        """What was done is checked. In `left` seconds the host undoes it, without a confirm."""

    def undoing(self, step: str, reason: str) -> None:
        """The host was told to take the step back."""

    def result(self, result: Result) -> None:
        """A step has ended."""

    def ended(self, results: Sequence[dict[str, Any]], summary: str) -> None:
        """The run that began with `act` has ended: a row per step (report.results_data), and the
        result in sentences (rollout/report/summary.py).
        """

    def verdicts(self, rows: Sequence[dict[str, str]], summary: str) -> None:
        """A rehearsal has ended: a row per step (rollout/rehearsal/verdicts.py), none where steps
        are not judged, and the result in sentences.
        """

    def note(self, text: str) -> None:
        """Something else that a person wants to know."""


class Listeners(Listener):
    """Tells several, in their order."""

    def __init__(self, *told: Listener) -> None:
        self._told = told

    def act(self, name: str) -> None:
        for each in self._told:
            each.act(name)

    def watching(self, results: Path) -> None:
        for each in self._told:
            each.watching(results)

    def gate(self, step: Step, gate: Gate) -> None:
        for each in self._told:
            each.gate(step, gate)

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        for each in self._told:
            each.step(step, doing, commands)

    def line(self, text: str) -> None:
        for each in self._told:
            each.line(text)

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        for each in self._told:
            each.checking(step, checks, left)

    def undoing(self, step: str, reason: str) -> None:
        for each in self._told:
            each.undoing(step, reason)

    def result(self, result: Result) -> None:
        for each in self._told:
            each.result(result)

    def ended(self, results: Sequence[dict[str, Any]], summary: str) -> None:
        for each in self._told:
            each.ended(results, summary)

    def verdicts(self, rows: Sequence[dict[str, str]], summary: str) -> None:
        for each in self._told:
            each.verdicts(rows, summary)

    def note(self, text: str) -> None:
        for each in self._told:
            each.note(text)
