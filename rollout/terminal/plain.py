"""A run in plain lines, for pipes, logs and dumb terminals."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import click

from rollout.engine.listener import Listener, Result
from rollout.plan.step import Gate, Step
from rollout.rehearsal import verdicts
from rollout.report import tables
from rollout.terminal.harmless import harmless

_WIDTH = 79
_FOR_THE_RUNNER = ("state ", "reason ", "differences ")  # the last lines of host.sh follow


def is_log_line(text: str) -> bool:
    """Whether a line from the host is a log line for users, not a result for the runner."""
    return not text.startswith(_FOR_THE_RUNNER)


def wrapped(text: str) -> str:
    """A paragraph for a terminal of 80 columns."""
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def headed(name: str, part: str) -> str:
    """An act, after the part of the rehearsal that it is."""
    return f"{part}: {name}" if part else name


def out(text: str) -> None:
    """Print a line. If the reader has gone, as head(1) does, the run continues without output."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class PlainLines(Listener):
    """Prints one line per step, and at the end the result and its table."""

    def say(self, text: str) -> None:
        out(harmless(text))

    def close(self) -> None:
        """Nothing is printed after this."""

    def act(self, name: str, part: str = "") -> None:
        self.say(f"--- {headed(name, part)}")

    def result(self, result: Result) -> None:
        parts = [tables.OUTCOMES[result.outcome]]
        if result.commands:
            parts.append(f"{result.commands} command{'s' if result.commands > 1 else ''}")
        if result.checks:
            parts.append(f"{result.passed} of {len(result.checks)} checks passed")
        self.say(f"{result.step}: {', '.join(parts)}, {result.ended - result.began:.1f} s")

    def ended(self, results: Sequence[dict[str, Any]], summary: str) -> None:
        if summary:
            self.say(f"\n{wrapped(summary)}\n")
        if results:
            self.say(f"{self.results_table(results)}\n")

    def verdicts(self, rows: Sequence[dict[str, str]], summary: str) -> None:
        """The table first: at the end of a rehearsal the result must stay on the screen."""
        if rows:
            self.say(f"\n{verdicts.table(rows)}")
        if summary:
            self.say(f"\n{wrapped(summary)}\n")

    def results_table(self, results: Sequence[dict[str, Any]]) -> str:
        return tables.results_table(results)

    def note(self, text: str) -> None:
        self.say(text)


class Verbose(PlainLines):
    """Also prints each command, each line of the host's log, and each step's connections."""

    def gate(self, step: Step, gate: Gate) -> None:
        self.say(f"{step.name}: gate: {gate.question}")

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self.say(f"{step.name}: {doing}")

    def line(self, text: str) -> None:
        if is_log_line(text):
            self.say(f"    {text}")

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        deadline = "" if left is None else f"; automatic rollback in {left} s unless confirmed"
        self.say(f"{step}: running {checks} checks{deadline}")

    def undoing(self, step: str, reason: str) -> None:
        self.say(f"{step}: undoing it ({reason})")

    def results_table(self, results: Sequence[dict[str, Any]]) -> str:
        return tables.results_table(results, cost=True)


class Quiet(PlainLines):
    """Prints only the result, in sentences. A `rehearsal` has several acts, and one result."""

    def __init__(self, *, rehearsal: bool = False) -> None:
        self._rehearsal = rehearsal

    def say(self, text: str) -> None: ...

    def ended(self, results: Sequence[dict[str, Any]], summary: str) -> None:
        if not self._rehearsal:
            out(harmless(wrapped(summary)))

    def verdicts(self, rows: Sequence[dict[str, str]], summary: str) -> None:
        out(harmless(wrapped(summary)))
