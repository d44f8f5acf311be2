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
UNTRIED = "-"


class Verdicts:
    """One row per step that has commands. What is not set stays untried; a failure stays one."""

    def __init__(self, plan: Plan) -> None:
        self._steps = [step for step in plan.steps if step.operations]
        self._found: dict[str, dict[Column, str]] = {step.name: {} for step in self._steps}

    def say(self, step: str, column: Column, ok: bool) -> None:
        found = self._found.get(step)
        if found is not None and found.get(column) != FAILED:
            found[column] = OK if ok else FAILED

    def checked(self, column: Column, verdicts: Iterable[Verdict]) -> None:
        """Each step by its own checks, of which some may have ended with a later step."""
        passed = {verdict.name: verdict.passed for verdict in verdicts}
        for step in self._steps:
            asked = [name for name in map(named, step.checks) if name in passed]
            if asked:
                self.say(step.name, column, all(passed[name] for name in asked))

    @property
    def rows(self) -> list[dict[str, str]]:
        return [
            {"step": name, **{column: found.get(column, UNTRIED) for column in COLUMNS}}
            for name, found in self._found.items()
        ]

    @property
    def proven(self) -> list[Step]:
        """The steps that went there and back, and nothing that was tried with them failed."""
        needed: Sequence[Column] = ("apply", "verify", "undo", "baseline")
        return [
            step
            for step in self._steps
            if FAILED not in (found := self._found[step.name]).values()
            and all(found.get(column) == OK for column in needed)
        ]


def table(rows: Iterable[Mapping[str, str]]) -> str:
    return tabulate([list(row.values()) for row in rows], ["step", *COLUMNS])
