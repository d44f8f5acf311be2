"""Shows a run on this machine: as a live view, lines, events, or the result alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import click

from rollout.engine.listener import Listener, Listeners
from rollout.errors import Interrupted
from rollout.plan import Plan
from rollout.terminal import live
from rollout.terminal.events import Events
from rollout.terminal.hooks import Command, Hooks
from rollout.terminal.plain import PlainLines, Quiet, Verbose
from rollout.terminal.progress import Progress


@dataclass(frozen=True)
class Manner:
    """The options of the command line. `verbose`: all lines, and no live view on a terminal."""

    quiet: bool = False
    as_json: bool = False
    verbose: bool = False


@contextmanager
def show_run(
    plan: Plan,
    run: str,
    manner: Manner,
    *,
    asks: bool = False,
    hooks: bool = True,
    box: str | None = None,
) -> Iterator[Listener]:
    """Show a run from its beginning to its end, however it ends; ^C becomes Interrupted.

    `asks`: gates prompt at the terminal. With `hooks` the site's hook gets the events. `box` names
    the box of a rehearsal, which is deleted afterwards.
    """
    progress = Progress()
    with _on_stdout(plan, run, manner) as shown, _to_hook(plan, run, shown, asks, hooks) as hook:
        try:
            yield Listeners(progress, shown, hook)
        except (KeyboardInterrupt, click.Abort):
            raise _interrupted(progress, box) from None


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Within this context SIGTERM has the effect of ^C, so that everything is cleaned up."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM came")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupted(progress: Progress, box: str | None) -> Interrupted:
    if box is None:
        return progress.interrupted()
    return Interrupted(f"interrupted: {box} was deleted; no server of yours was touched")


@contextmanager
def _to_hook(plan: Plan, run: str, shown: Listener, asks: bool, wanted: bool) -> Iterator[Listener]:
    table = plan.site.hooks
    if not wanted or table.command is None:
        yield Listener()
        return
    hooks = Hooks(plan.site, run, Command(table.command, table.timeout), shown, asks=asks)
    try:
        yield hooks
    finally:
        hooks.close()


@contextmanager
def _on_stdout(plan: Plan, run: str, manner: Manner) -> Iterator[Listener]:
    if manner.as_json:
        events = Events()
        try:
            yield events
        except BaseException as error:
            events.close(error)
            raise
        events.close(None)
        return
    lines = _lines(plan, run, manner)
    try:
        yield lines
    finally:
        lines.close()


def _lines(plan: Plan, run: str, manner: Manner) -> PlainLines:
    if manner.quiet:
        return Quiet(rehearsal=run == "rehearse")
    if manner.verbose:
        return Verbose()
    return live.on_terminal(plan.site.name, [step.name for step in plan.steps]) or PlainLines()
