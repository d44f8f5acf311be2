"""What a run tells while it goes on, and what it notes of each step."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.checks import Verdict
from rollout.step import Step


@dataclass(frozen=True)
class Result:
    """What became of one step, and what it cost: connections opened, round trips made.

    `began` and `ended` are seconds since the epoch.
    """

    step: str
    outcome: str
    commands: int
    checks: tuple[Verdict, ...]
    channels: int
    trips: int
    began: float
    ended: float

    @property
    def passed(self) -> int:
        return sum(verdict.passed for verdict in self.checks)


class Told:
    """Keeps silent; the command line's own prints."""

    def step(self, step: Step, doing: str) -> None: ...

    def line(self, text: str) -> None: ...

    def result(self, result: Result) -> None: ...

    def note(self, text: str) -> None: ...
