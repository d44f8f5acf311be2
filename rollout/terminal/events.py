"""The events of a run as JSON, one object per line; the last one has the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollout.engine.listener import Listener, Result
from rollout.errors import CellblockError
from rollout.plan.step import Gate, Step
from rollout.terminal.plain import is_log_line, out


def now() -> str:
    """The time of an event: UTC, as in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Events(Listener):
    """Prints each event on standard output as it comes (docs/commands.md describes them)."""

    def __init__(self) -> None:
        self._acts: list[dict[str, Any]] = []
        self._step = ""

    def _print(self, event: str, **more: Any) -> None:
        out(json.dumps({"event": event, "time": now(), **more}))

    def act(self, name: str, part: str = "") -> None:
        self._acts.append({"name": name, "part": part, "results": [], "summary": ""})
        self._print("act", name=name, part=part)

    def watching(self, results: Path) -> None:
        self._print("watching", probes=str(results))

    def gate(self, step: Step, gate: Gate) -> None:
        self._print("gate", step=step.name, question=gate.question, look_at=gate.look_at)

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self._step = step.name
        self._print("begun", step=step.name, why=step.why, doing=doing, commands=commands)

    def line(self, text: str) -> None:
        if is_log_line(text):
            self._print("line", step=self._step, text=text)

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        self._print("checking", step=step, checks=checks, seconds_left=left)

    def undoing(self, step: str, reason: str) -> None:
        self._step = step
        self._print("undoing", step=step, reason=reason)

    def result(self, result: Result) -> None:
        self._print(
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
        self._print("verdicts", steps=list(rows), summary=summary)

    def note(self, text: str) -> None:
        self._print("note", text=text)

    def close(self, error: BaseException | None) -> None:
        """Print the last event: all results, the exit code, and the error if there was one."""
        data = None
        code = 0 if error is None else 1
        if isinstance(error, CellblockError):
            code = error.code
            data = {"what": error.what, "evidence": error.evidence, "todo": error.todo}
        self._print("results", acts=self._acts, exit_code=code, error=data)
