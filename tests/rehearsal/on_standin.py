"""What rehearsals on the stand-in share: a runner at whose gates somebody says yes, and a shell."""

from __future__ import annotations

from rollout.box import Box
from rollout.plan import Plan
from rollout.runner import Runner
from rollout.step import Gate
from rollout.told import Told
from standin import StandIn


def yes(step: str, gate: Gate) -> str:
    return "me"


def runner(made: Plan, box: Box, told: Told | None = None) -> Runner:
    return Runner(made, box.target, box.outside, told or Told(), yes)


def host(box: Box) -> StandIn:
    assert isinstance(box.target, StandIn)
    return box.target


def typed(box: Box, command: str) -> str:
    """What root's shell on the host prints for a command, which must end well."""
    done = host(box).run(command)
    assert done.returncode == 0, done.stderr
    return done.stdout
