"""The verdicts of a rehearsal on each step: the table at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from tabulate import tabulate

from rollout.engine.checks import Verdict, named
from rollout.plan import Plan
from rollout.plan.step import Step

Column = Literal["apply", "verify", "undo", "baseline", "again", "reboot"]
COLUMNS: tuple[Column, ...] = get_args(Column)
MEANS: dict[Column, str] = {
    "apply": "its commands ran and it was confirmed, both times",
    "verify": "its checks held when all was done, both times",
    "undo": "it was undone",
    "baseline": "after its undo the host was identical to before it",
    "again": "run a second time it changed nothing",
    "reboot": "its checks held after a restart",
}
OK = "ok"
FAILED = "FAILED"
INTERRUPTED = "interrupted"
UNTRIED = "-"


class Verdicts:
    """One row per step that has commands. A column is untried until it is set.

    FAILED and interrupted are final.
    """

    def __init__(self, plan: Plan) -> None:
        self._steps = [step for step in plan.steps if step.operations]
        self._found: dict[str, dict[Column, str]] = {step.name: {} for step in self._steps}

    def say(self, step: str, column: Column, ok: bool) -> None:
        found = self._found.get(step)
        if found is not None and found.get(column) not in (FAILED, INTERRUPTED):
            found[column] = OK if ok else FAILED

    def ran(self, step: str, column: Column, outcome: str, good: str) -> None:
        """Set a column by how the step ended; a step that was only stopped did not fail."""
        if outcome != "interrupted":
            self.say(step, column, outcome == good)
        elif step in self._found:
            self._found[step][column] = INTERRUPTED

    def checked(self, column: Column, verdicts: Iterable[Verdict]) -> None:
        """Set a column by each step's own checks; some may no longer apply after a later step."""
        passed = {verdict.name: verdict.passed for verdict in verdicts}
        for step in self._steps:
            ran = [name for name in map(named, step.checks) if name in passed]
            if ran:
                self.say(step.name, column, all(passed[name] for name in ran))

    @property
    def rows(self) -> list[dict[str, str]]:
        return [
            {"step": name, **{column: found.get(column, UNTRIED) for column in COLUMNS}}
            for name, found in self._found.items()
        ]

    @property
    def proven(self) -> list[Step]:
        """The steps that were applied and undone, and for which nothing failed."""
        needed: Sequence[Column] = ("apply", "verify", "undo", "baseline")
        return [
            step
            for step in self._steps
            if FAILED not in (found := self._found[step.name]).values()
            and all(found.get(column) == OK for column in needed)
        ]


def table(rows: Iterable[Mapping[str, str]]) -> str:
    return tabulate([list(row.values()) for row in rows], ["step", *COLUMNS])
