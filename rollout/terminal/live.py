"""A live view of a run, drawn in place: step, command, deadline, and which side answers clients.

Finished steps stay above it, one line each.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live as Region
from rich.table import Table
from rich.text import Text

from rollout.engine.listener import Result
from rollout.plan.step import Gate, Step
from rollout.probe.recent import SPAN, Now, Recent
from rollout.report import tables
from rollout.terminal.harmless import harmless
from rollout.terminal.plain import PlainLines, headed

_COMMAND = re.compile(r"(\d{3}) (.+)")  # host.sh logs number and title of each command
_STATE = re.compile(r"\S+Z \d{3}-\S+: ([a-z]+)")  # and each new state of the step
_MARKS = {
    "host": (".", "cyan"),
    "jail": ("=", "green"),
    "unknown": ("-", ""),
    "silent": ("x", "bold red"),
    "unasked": (" ", ""),
}
_LEGEND = (("host", "host"), ("jail", "jail"), ("unknown", "unknown"), ("silent", "no answer"))
_MARKS_AT_MOST = 60
_BESIDE_MARKS = 45  # columns for the service, its owner and its gap


def terminal(stream: TextIO) -> Console | None:
    """A console on a terminal that can redraw a view in place, or None.

    It has its own file descriptor: while checks run, pytest captures the standard ones.
    """
    if not stream.isatty() or os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        return None
    own = os.fdopen(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors="replace")
    console = Console(file=own, highlight=False, markup=False, emoji=False)
    return console if console.is_interactive else None


class Live(PlainLines):
    """`steps` are the plan's, in order; `name` is the site's."""

    def __init__(self, console: Console, name: str, steps: Sequence[str]) -> None:
        self._console = console
        self._name = name
        self._steps = list(steps)
        self._region: Region | None = None
        self._recent: Recent | None = None
        self._act = ""
        self._began = time.monotonic()
        self._at_step = ""
        self._doing = ""
        self._commands = 0
        self._command = ""
        self._within = 0
        self._deadline: float | None = None

    # Events.

    def say(self, text: str) -> None:
        self._console.print(Text(harmless(text)), soft_wrap=True)

    def act(self, name: str, part: str = "") -> None:
        self._act, self._began = headed(name, part), time.monotonic()
        self._at("", "gathering facts")
        super().act(name, part)
        self._show()

    def watching(self, results: Path) -> None:
        self._recent = Recent(results)

    def gate(self, step: Step, gate: Gate) -> None:
        self._hide()  # the question and the answer need the terminal

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self._at(step.name, doing, commands)
        self._within = step.confirm_within
        self._show()

    def line(self, text: str) -> None:
        if match := _COMMAND.fullmatch(text):
            self._command = f"{int(match[1])} of {self._commands}: " if self._commands else ""
            self._command += harmless(match[2])
        elif match := _STATE.fullmatch(text):
            self._doing, self._command = match[1], ""
            applied = match[1] == "applied"
            self._deadline = time.monotonic() + self._within if applied else None

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        self._at(step, f"running {checks} checks")
        self._deadline = None if left is None else time.monotonic() + left
        self._show()

    def undoing(self, step: str, reason: str) -> None:
        self._at(step, f"undoing it ({reason})")
        self._show()

    def result(self, result: Result) -> None:
        self._at(result.step, tables.OUTCOMES[result.outcome])
        super().result(result)

    def ended(self, results: Sequence[dict[str, Any]], summary: str) -> None:
        self._hide()
        self._recent = None
        super().ended(results, summary)

    def verdicts(self, rows: Sequence[dict[str, str]], summary: str) -> None:
        self._hide()
        super().verdicts(rows, summary)

    def note(self, text: str) -> None:
        if not self._at_step:
            self._doing = text.partition("\n")[0]
        super().note(text)

    def close(self) -> None:
        self._hide()
        self._console.file.close()

    def _at(self, step: str, doing: str = "", commands: int = 0) -> None:
        self._at_step, self._doing, self._commands = step, doing, commands
        self._command, self._deadline = "", None

    # Drawing.

    def _show(self) -> None:
        if self._region is None:
            self._region = Region(
                console=self._console, get_renderable=self._fitted, transient=True
            )
            self._region.start()
        self._region.refresh()  # shows even a state that ends before the next redraw

    def _hide(self) -> None:
        region, self._region = self._region, None
        if region is not None:
            region.stop()

    def _fitted(self) -> Group:
        try:
            size = os.get_terminal_size(self._console.file.fileno())
            if size.columns and size.lines:
                self._console.size = size
        except (OSError, ValueError):  # no terminal, as in a recording
            pass
        return self.frame(time.monotonic(), time.time())

    def frame(self, monotonic: float, wall: float) -> Group:
        """The view at a given time, by both clocks."""
        marks = max(10, min(_MARKS_AT_MOST, self._console.width - _BESIDE_MARKS))
        services: list[Now] = []
        if self._recent is not None:
            self._recent.read()
            services = self._recent.now(wall, marks)
        rows = self._console.height - 7  # more rows would scroll, and could not be erased
        return Group(
            self._heading(monotonic),
            *([_answers(services[:rows], wall)] if services else []),
            *([_legend()] if services else []),
        )

    def _heading(self, now: float) -> Table:
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, ratio=1)
        grid.add_column(no_wrap=True, justify="right")
        title = Text(f"{self._name}: {self._act}", style="bold")
        grid.add_row("", "", "")
        grid.add_row(Text("run"), title, Text(_clock(now - self._began)))
        grid.add_row(Text("step"), Text(self._placed()), "")
        grid.add_row(Text("now"), Text(self._command or self._doing), "")
        grid.add_row(Text("deadline"), self._until(now), "")
        return grid

    def _placed(self) -> str:
        if self._at_step not in self._steps:
            return self._at_step
        place = self._steps.index(self._at_step) + 1
        doing = f", {self._doing}" if self._command else ""
        return f"{self._at_step} ({place} of {len(self._steps)}){doing}"

    def _until(self, now: float) -> Text:
        if self._deadline is not None:
            left = max(0, round(self._deadline - now))
            style = "bold red" if left < 20 else ""
            return Text(f"automatic rollback in {left} s unless confirmed", style)
        if self._commands:
            return Text(f"{self._within} s after the last command")
        return Text("none")


def _answers(services: Sequence[Now], wall: float) -> Table:
    grid = Table.grid(padding=(0, 2), expand=True)
    for _ in range(3):
        grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, ratio=1)
    for each in services:
        marks = Text()
        for mark in each.marks:
            marks.append(*_MARKS[mark])
        grid.add_row(Text(each.service), marks, Text(each.who or ""), _gap(each, wall))
    return grid


def _gap(service: Now, wall: float) -> Text:
    gap = service.gap
    if gap is None:
        return Text("")
    if not gap.closed:
        return Text(f"no answer for {max(0.0, wall - gap.start):.1f} s", "bold red")
    return Text(f"gap {gap.seconds:.2f} s")


def _legend() -> Text:
    text = Text(f"the last {SPAN:g} s: ", "dim", no_wrap=True, overflow="ellipsis")
    for mark, says in _LEGEND:
        text.append(*_MARKS[mark])
        text.append(f" {says}   ", "dim")
    return text


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def on_terminal(name: str, steps: Sequence[str]) -> Live | None:
    """A live view on standard output, or None if that is no terminal, or a dumb one."""
    console = terminal(sys.stdout)
    return Live(console, name, steps) if console else None
