"""Shared by rehearsals on the stand-in: a runner whose gates are all confirmed, what it notes, and
a shell.
"""

from __future__ import annotations

from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.plan import Plan
from rollout.plan.step import Gate
from rollout.rehearsal.box import Box
from standin import StandIn


class Notes(Listener):
    """Keeps what a run notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def yes(step: str, gate: Gate) -> str:
    return "me"


def runner(made: Plan, box: Box, listener: Listener | None = None) -> Runner:
    return Runner(made, box.target, box.outside, listener or Listener(), yes)


def host(box: Box) -> StandIn:
    assert isinstance(box.target, StandIn)
    return box.target


def typed(box: Box, command: str) -> str:
    """The output of a command in root's shell on the host; it must succeed."""
    done = host(box).run(command)
    assert done.returncode == 0, done.stderr
    return done.stdout
