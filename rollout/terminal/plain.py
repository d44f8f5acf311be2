"""A run told in plain lines, for pipes, logs and terminals that cannot do more."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from rollout.engine.listener import Listener, Result
from rollout.plan.step import Gate, Step
from rollout.rehearsal import verdicts
from rollout.report import tables

_FOR_THE_RUNNER = ("state ", "reason ", "differences ")  # what the host's follow ends with


def spoken(text: str) -> bool:
    """Whether a line from the host is meant for people."""
    return not text.startswith(_FOR_THE_RUNNER)


def harmless(text: str) -> str:
    """Without what a terminal would obey: a log has the words of other people's programs in it."""
    return "".join(each if each.isprintable() or each in "\n\t" else "?" for each in text)


def out(text: str) -> None:
    """A line on standard output. Where nobody reads on, as behind head(1), the run goes on."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class PlainLines(Listener):
    """On standard output, a line at a time."""

    def say(self, text: str) -> None:
        out(harmless(text))

    def close(self) -> None:
        """The last that is told."""

    def act(self, name: str) -> None:
        self.say(f"--- {name}")

    def gate(self, step: Step, gate: Gate) -> None:
        self.say(f"{step.name}: at the gate: {gate.question}")

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self.say(f"{step.name}: {doing}")

    def line(self, text: str) -> None:
        if spoken(text):
            self.say(f"    {text}")

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        deadline = "" if left is None else f"; without a confirm the host undoes it in {left} s"
        self.say(f"{step}: asking {checks} checks{deadline}")

    def undoing(self, step: str, reason: str) -> None:
        self.say(f"{step}: undoing it ({reason})")

    def result(self, result: Result) -> None:
        self.say(
            f"{result.step}: {result.outcome}, "
            f"{result.passed} of {len(result.checks)} checks passed, "
            f"{result.channels} channels, {result.trips} round trips"
        )

    def ended(self, results: Sequence[dict[str, Any]]) -> None:
        self.say(tables.results_table(results))

    def verdicts(self, rows: Sequence[dict[str, str]]) -> None:
        self.say(verdicts.table(rows))

    def note(self, text: str) -> None:
        self.say(text)


class Quiet(PlainLines):
    """Only what the last run came to."""

    def __init__(self) -> None:
        self._results: Sequence[dict[str, Any]] | None = None
        self._verdicts: Sequence[dict[str, str]] = ()

    def say(self, text: str) -> None: ...

    def ended(self, results: Sequence[dict[str, Any]]) -> None:
        self._results = results

    def verdicts(self, rows: Sequence[dict[str, str]]) -> None:
        self._verdicts = rows

    def close(self) -> None:
        if self._results is not None:
            out(tables.results_table(self._results))
        if self._verdicts:
            out(verdicts.table(self._verdicts))
