"""What the host does with the current step if the operator interrupts the run with ^C."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from rollout.engine.listener import Listener, Result
from rollout.errors import Interrupted
from rollout.plan.step import Gate, Step


class Progress(Listener):
    """Tracks how far a run is."""

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
        """The error for ^C now: which step is not finished, and what the host does with it."""
        step = self._step
        if self._state == "running":
            return Interrupted(
                f"interrupted while {step} was running: it continues on the host",
                evidence="the host rolls the step back unless it is confirmed within "
                f"{self._within} s after its last command",
                todo="run cellblock apply before that to check and confirm it",
            )
        if self._state == "checking":
            left = max(0, round(self._deadline - time.monotonic()))
            at = datetime.now() + timedelta(seconds=left)
            return Interrupted(
                f"interrupted while {step} was checked: it is applied and not confirmed",
                evidence=f"automatic rollback in {left} s, at {at:%H:%M:%S}, unless confirmed",
                todo="run cellblock apply before that to check and confirm it",
            )
        if self._state == "undoing":
            return Interrupted(
                f"interrupted while {step} was being undone: the undo continues on the host",
                todo="cellblock status shows how far it is; cellblock rollback continues it",
            )
        if self._state == "undone":
            return Interrupted(
                f"interrupted after {step} was undone, while the checks of the steps before it ran",
                todo="cellblock verify runs them again; cellblock rollback continues",
            )
        if self._state == "gate":
            return Interrupted(
                f"interrupted at the gate of {step}: no command of it has run",
                todo="run cellblock apply again to answer it",
            )
        done = f"; {step} had ended" if self._state == "ended" else ""
        return Interrupted(
            f"interrupted; nothing is running on the host{done}",
            todo="cellblock status shows what is confirmed",
        )
