"""A run told to programs: a JSON object a line, the last one with the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollout.engine.listener import Listener, Result
from rollout.errors import CellblockError
from rollout.plan.step import Gate, Step
from rollout.terminal.plain import out, spoken


def now() -> str:
    """The time of an event: UTC, as in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Events(Listener):
    """Each event on standard output as it comes (docs/commands.md says what is in it)."""

    def __init__(self) -> None:
        self._acts: list[dict[str, Any]] = []
        self._step = ""

    def _tell(self, event: str, **more: Any) -> None:
        out(json.dumps({"event": event, "time": now(), **more}))

    def act(self, name: str) -> None:
        self._acts.append({"name": name, "results": [], "summary": ""})
        self._tell("act", name=name)

    def watching(self, results: Path) -> None:
        self._tell("watching", probes=str(results))

    def gate(self, step: Step, gate: Gate) -> None:
        self._tell("gate", step=step.name, question=gate.question, look_at=gate.look_at)

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self._step = step.name
        self._tell("begun", step=step.name, why=step.why, doing=doing, commands=commands)

    def line(self, text: str) -> None:
        if spoken(text):
            self._tell("line", step=self._step, text=text)

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        self._tell("checking", step=step, checks=checks, seconds_left=left)

    def undoing(self, step: str, reason: str) -> None:
        self._step = step
        self._tell("undoing", step=step, reason=reason)

    def result(self, result: Result) -> None:
        self._tell(
            "result",
            step=result.step,
            outcome=result.outcome,
            reason=result.reason,
            commands=result.commands,
            checks={"passed": result.passed, "asked": len(result.checks)},
            channels=result.channels,
            round_trips=result.trips,
            seconds=round(result.ended - result.began, 2),
        )

    def ended(self, results: Sequence[dict[str, Any]], summary: str) -> None:
        self._acts[-1] |= {"results": list(results), "summary": summary}

    def verdicts(self, rows: Sequence[dict[str, str]], summary: str) -> None:
        self._tell("verdicts", steps=list(rows), summary=summary)

    def note(self, text: str) -> None:
        self._tell("note", text=text)

    def close(self, error: BaseException | None) -> None:
        """The last event: all results, and the exit code with what led to it."""
        told = None
        code = 0 if error is None else 1
        if isinstance(error, CellblockError):
            code = error.code
            told = {"what": error.what, "evidence": error.evidence, "todo": error.todo}
        self._tell("results", acts=self._acts, exit_code=code, error=told)
