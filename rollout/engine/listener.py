"""The events of a run, for those that show it, and the result of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout.engine.checks import Verdict
from rollout.plan.step import Gate, Step


@dataclass(frozen=True)
class Result:
    """How one step ended, and its cost: connections opened, round trips made.

    `began` and `ended` are seconds since the epoch. `reason` says in one line why a step did not
    end as intended.
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
    """Ignores all events. The listeners in rollout/terminal print, draw or stream them, or run the
    user's hook.

    A listener must not raise: a run does not fail because it could not be shown.
    """

    def act(self, name: str, part: str = "") -> None:
        """A run begins: "apply", "rollback", or an act of a rehearsal, which says "part 1 of 5"."""

    def watching(self, results: Path) -> None:
        """From now on the prober writes the answers of the services to this file."""

    def gate(self, step: Step, gate: Gate) -> None:
        """The step has a gate: a person must say yes before it runs."""

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        """A step begins, or is resumed after an earlier run; then `commands` is 0."""

    def line(self, text: str) -> None:
        """A line of the host's log of the current step."""

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        """The checks begin. The host undoes the step in `left` seconds unless it is confirmed."""

    def undoing(self, step: str, reason: str) -> None:
        """The host begins to undo the step."""

    def result(self, result: Result) -> None:
        """A step has ended."""

    def ended(self, results: Sequence[dict[str, Any]], summary: str) -> None:
        """The run that began with `act` has ended. `results` has a row per step
        (tables.results_data), `summary` the result in sentences (rollout/report/summary.py).
        """

    def verdicts(self, rows: Sequence[dict[str, str]], summary: str) -> None:
        """A rehearsal has ended. `rows` has a row per step (rollout/rehearsal/verdicts.py), or none
        if it gives no verdicts; `summary` is the result in sentences.
        """

    def note(self, text: str) -> None:
        """Any other message for the user."""


class Listeners(Listener):
    """Passes each event to several listeners, in their order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def act(self, name: str, part: str = "") -> None:
        for each in self._listeners:
            each.act(name, part)

    def watching(self, results: Path) -> None:
        for each in self._listeners:
            each.watching(results)

    def gate(self, step: Step, gate: Gate) -> None:
        for each in self._listeners:
            each.gate(step, gate)

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        for each in self._listeners:
            each.step(step, doing, commands)

    def line(self, text: str) -> None:
        for each in self._listeners:
            each.line(text)

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        for each in self._listeners:
            each.checking(step, checks, left)

    def undoing(self, step: str, reason: str) -> None:
        for each in self._listeners:
            each.undoing(step, reason)

    def result(self, result: Result) -> None:
        for each in self._listeners:
            each.result(result)

    def ended(self, results: Sequence[dict[str, Any]], summary: str) -> None:
        for each in self._listeners:
            each.ended(results, summary)

    def verdicts(self, rows: Sequence[dict[str, str]], summary: str) -> None:
        for each in self._listeners:
            each.verdicts(rows, summary)

    def note(self, text: str) -> None:
        for each in self._listeners:
            each.note(text)
