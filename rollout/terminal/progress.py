"""What the host does by itself with what is unfinished when the operator leaves with ^C."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from rollout.engine.listener import Listener, Result
from rollout.errors import Interrupted
from rollout.plan.step import Gate, Step


class Progress(Listener):
    """Keeps in mind how far a run is."""

    def __init__(self) -> None:
        self._step = ""
        self._state = "nothing"
        self._within = 0
        self._deadline = 0.0

    def gate(self, step: Step, gate: Gate) -> None:
        self._step, self._state = step.name, "gate"

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self._step, self._state, self._within = step.name, "running", step.confirm_within

    def line(self, text: str) -> None:
        word = text.rpartition(": ")[2]
        if text.endswith(f"-{self._step}: {word}") and self._state in ("running", "checking"):
            if word == "applied":
                self._applied(self._within)
            elif word in ("undoing", "undone"):
                self._state = "undoing"

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        self._step = step
        if left is None:
            self._state = "undone"
        else:
            self._applied(left)

    def _applied(self, left: float) -> None:
        self._state, self._deadline = "checking", time.monotonic() + left

    def undoing(self, step: str, reason: str) -> None:
        self._step, self._state = step, "undoing"

    def result(self, result: Result) -> None:
        if result.outcome != "interrupted":
            self._step, self._state = result.step, "ended"

    def interrupted(self) -> Interrupted:
        """The error for ^C at this moment: what is left, and what becomes of it."""
        step = self._step
        if self._state == "running":
            return Interrupted(
                f"interrupted while the host runs {step}: it goes on by itself",
                evidence="when its last command has run and nothing is confirmed within "
                f"{self._within} s, the host undoes the step",
                todo="apply again before that to have it checked and confirmed; status tells",
            )
        if self._state == "checking":
            left = max(0, round(self._deadline - time.monotonic()))
            at = datetime.now() + timedelta(seconds=left)
            return Interrupted(
                f"interrupted while {step} was checked: it is applied and not confirmed",
                evidence=f"in {left} s (at {at:%H:%M:%S}) the host undoes it by itself",
                todo="apply again before that to have it checked and confirmed; status tells",
            )
        if self._state == "undoing":
            return Interrupted(
                f"interrupted while the host undoes {step}: it goes on by itself",
                todo="status tells how far it is; rollback goes on from there",
            )
        if self._state == "undone":
            return Interrupted(
                f"interrupted after {step} was undone, while the checks before it were asked",
                todo="verify asks them again; rollback goes on from there",
            )
        if self._state == "gate":
            return Interrupted(
                f"interrupted at the gate of {step}: nothing of that step was begun",
                todo="apply again when you have looked",
            )
        done = f"; {step} had ended" if self._state == "ended" else ""
        return Interrupted(
            f"interrupted; nothing is under way on the host{done}",
            todo="status tells what is confirmed and stays",
        )
