"""How a run is shown on this machine: a live view, lines, events, or the result alone."""

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
    """What the command line asks for. `verbose`: all lines, and no live view on a terminal."""

    quiet: bool = False
    as_json: bool = False
    verbose: bool = False


@contextmanager
def telling(
    plan: Plan,
    run: str,
    manner: Manner,
    *,
    asks: bool = False,
    hooks: bool = True,
    box: str | None = None,
) -> Iterator[Listener]:
    """Show a run from its beginning to its end, however it ends; ^C becomes Interrupted.

    `asks`: a person is asked at gates. With `hooks` the site's own command gets the events. `box`
    names what is rehearsed on; it is deleted afterwards.
    """
    progress = Progress()
    with _on_stdout(plan, run, manner) as seen, _to_hooks(plan, run, seen, asks, hooks) as heard:
        try:
            yield Listeners(progress, seen, heard)
        except (KeyboardInterrupt, click.Abort):
            raise _left(progress, box) from None


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends what is within as ^C does: whatever was set up is taken down."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _left(progress: Progress, box: str | None) -> Interrupted:
    if box is None:
        return progress.interrupted()
    return Interrupted(f"interrupted: {box} was deleted; no server of yours was touched")


@contextmanager
def _to_hooks(plan: Plan, run: str, seen: Listener, asks: bool, wanted: bool) -> Iterator[Listener]:
    table = plan.site.hooks
    if not wanted or table.command is None:
        yield Listener()
        return
    hooks = Hooks(plan.site, run, Command(table.command, table.timeout), seen, asks=asks)
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
    printed = _lines(plan, run, manner)
    try:
        yield printed
    finally:
        printed.close()


def _lines(plan: Plan, run: str, manner: Manner) -> PlainLines:
    if manner.quiet:
        return Quiet(rehearsal=run == "rehearse")
    if manner.verbose:
        return Verbose()
    return live.on_terminal(plan.site.name, [step.name for step in plan.steps]) or PlainLines()
