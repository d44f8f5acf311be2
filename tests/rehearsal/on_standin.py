"""Shared by rehearsals on the stand-in: a runner whose gates are all confirmed, what it notes, a
shell, and a host that lies.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.host.session import Target
from rollout.plan import Plan
from rollout.plan.step import Gate
from rollout.rehearsal.box import Box
from standin import StandIn


@dataclass(frozen=True)
class Lying:
    """A target some of whose commands are replaced by sh functions."""

    target: Target
    functions: str

    @property
    def name(self) -> str:
        return self.target.name

    def shell(self) -> subprocess.Popen[bytes]:
        shell = self.target.shell()
        assert shell.stdin is not None
        shell.stdin.write(self.functions.encode() + b"\n")
        shell.stdin.flush()
        return shell


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
