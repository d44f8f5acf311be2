"""How a run is told on this machine: as a picture, in lines, as events, or hardly at all."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import click

from rollout import live
from rollout.errors import Interrupted
from rollout.events import Events
from rollout.hooks import Command, Hooks
from rollout.plan import Plan
from rollout.printed import Printed, Quiet
from rollout.told import Each, Told
from rollout.unfinished import Unfinished


@dataclass(frozen=True)
class Manner:
    """What was asked for on the command line. `plain`: lines, even on a terminal."""

    quiet: bool = False
    as_json: bool = False
    plain: bool = False


@contextmanager
def telling(
    plan: Plan,
    run: str,
    manner: Manner,
    *,
    asks: bool = False,
    hooks: bool = True,
    box: str | None = None,
) -> Iterator[Told]:
    """Tell a run from its beginning to its end, however it ends; ^C becomes Interrupted.

    `asks`: a person is asked at gates. With `hooks` the site's own command hears of it. `box` is
    what is rehearsed on, and gone afterwards.
    """
    unfinished = Unfinished()
    with _on_stdout(plan, manner) as seen, _to_hooks(plan, run, seen, asks, hooks) as heard:
        try:
            yield Each(unfinished, seen, heard)
        except (KeyboardInterrupt, click.Abort):
            raise _left(unfinished, box) from None


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


def _left(unfinished: Unfinished, box: str | None) -> Interrupted:
    if box is None:
        return unfinished.interrupted()
    return Interrupted(f"interrupted: {box} is gone, and no server of yours was touched")


@contextmanager
def _to_hooks(plan: Plan, run: str, seen: Told, asks: bool, wanted: bool) -> Iterator[Told]:
    table = plan.site.hooks
    if not wanted or table.command is None:
        yield Told()
        return
    hooks = Hooks(plan.site, run, Command(table.command, table.timeout), seen, asks=asks)
    try:
        yield hooks
    finally:
        hooks.close()


@contextmanager
def _on_stdout(plan: Plan, manner: Manner) -> Iterator[Told]:
    if manner.as_json:
        events = Events()
        try:
            yield events
        except BaseException as error:
            events.close(error)
            raise
        events.close(None)
        return
    steps = [step.name for step in plan.steps]
    picture = None if manner.quiet or manner.plain else live.on_terminal(plan.site.name, steps)
    printed: Printed = Quiet() if manner.quiet else picture or Printed()
    try:
        yield printed
    finally:
        printed.close()
