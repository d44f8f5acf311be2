"""All crash cases: which faults can hit which command, and the name of each case."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Side = Literal["do", "undo"]

KINDS = {
    "fail": "the command fails",
    "fail-after": "it fails after it acted",
    "hang": "it hangs, and is killed at its limit",
    "connection": "the operator's connection goes",
    "operator": "the operator's machine dies (kill -9 of cellblock)",
    "run": "host.sh's run is killed",
    "guard": "host.sh's guard is killed",
    "both": "all of host.sh is killed",
    "power-note": "power goes while the journal notes it: half a line is written",
    "power-before": "power goes before the command writes",
    "power-after": "power goes after it wrote",
    "power-torn": "power goes half-way through its files: what no fsync saved is torn",
}
UNDO = "undo-"


@dataclass(frozen=True)
class Case:
    """A kind of failure at one command of a step, during the apply or during the undo."""

    step: str
    command: int
    side: Side
    kind: str

    def __str__(self) -> str:
        return f"{self.step}:{self.command}:{UNDO if self.side == 'undo' else ''}{self.kind}"

    @property
    def by_rollback(self) -> bool:
        """Whether the undo rolls back a confirmed step; else it undoes a step that failed."""
        return self.side == "undo" and self.kind in ("run", "guard")

    @property
    def ends_confirmed(self) -> bool:
        return self.side == "do" and self.kind in ("connection", "guard")


def of_command(step: str, command: int) -> tuple[Case, ...]:
    """Every case of one command. Cases that confirm the step precede those that roll it back, so
    one run of the step serves two cases.
    """
    cases = [Case(step, command, side, kind) for kind in KINDS for side in _SIDES]
    confirming = [case for case in cases if case.ends_confirmed]
    rolling = [case for case in cases if case.by_rollback]
    rest = [case for case in cases if case not in confirming and case not in rolling]
    pairs = zip(confirming, rolling, strict=True)
    return (*rest, *(case for pair in pairs for case in pair))


_SIDES: tuple[Side, ...] = ("do", "undo")


@dataclass(frozen=True)
class Wanted:
    """ONLY=STEP[:COMMAND[:KIND]], each an fnmatch pattern."""

    step: str = "*"
    command: str = "*"
    kind: str = "*"

    @classmethod
    def parse(cls, text: str) -> Wanted:
        parts = text.split(":") if text else []
        if len(parts) > 3 or not all(parts):
            raise ValueError(f"{text!r}: expected STEP[:COMMAND[:KIND]], each may have * and ?")
        return cls(*parts)

    def may_hold(self, step: str) -> bool:
        return fnmatch.fnmatchcase(step, self.step)

    def holds(self, case: Case) -> bool:
        step, command, kind = str(case).split(":")
        return (
            fnmatch.fnmatchcase(step, self.step)
            and fnmatch.fnmatchcase(command, self.command)
            and fnmatch.fnmatchcase(kind, self.kind)
        )

    def of(self, step: str, command: int) -> Iterator[Case]:
        return (case for case in of_command(step, command) if self.holds(case))
