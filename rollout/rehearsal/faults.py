"""Failures that a rehearsal injects: at one command of one step, on any kind of box.

Either the command is changed before it is uploaded, or the box is cut off when the host's log names
the command. Nothing on the box knows of the failure, so the host acts as it would in a real run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import Refused
from rollout.host.bundle import Bundle, Command, compile_step
from rollout.plan import Plan
from rollout.rehearsal.box import Box

Kind = Literal["fail", "fail-after", "hang", "connection", "power"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SAYS = {
    "fail": "fails",
    "fail-after": "fails after it acted",
    "hang": "hangs",
    "connection": "loses the connection to the operator",
    "power": "is hit by a power cut",
}
_HANGS = 3  # seconds until a command that hangs is killed
_OPEN = 3  # seconds in which the connection or the power can go before the command acts


@dataclass(frozen=True)
class Fault:
    """A kind of failure at a command of a step. `at` is the position in the step, from 0 to below
    1, since the number of commands is known only on the box.
    """

    step: str
    kind: Kind
    at: float = 0.0
    number: int = 0  # of the command, from 1; 0 while it is not known

    def __str__(self) -> str:
        command = f"command {self.number}" if self.number else "a command"
        return f"{command} of {self.step} {SAYS[self.kind]}"

    def of(self, commands: int) -> Fault:
        """The fault with the number of its command, in a step of so many commands."""
        return replace(self, number=1 + int(self.at * commands))

    def put_into(self, made: Bundle) -> Bundle:
        """The bundle with the fault in it."""
        commands = list(made.commands)
        commands[self.number - 1] = self._changed(commands[self.number - 1])
        return replace(made, commands=tuple(commands))

    def _changed(self, command: Command) -> Command:
        match self.kind:
            case "fail":
                return replace(command, do="false")
            case "fail-after":
                return replace(command, do=f"{command.do}\nfalse")
            case "hang":
                return replace(command, do="sleep 3600", limit=_HANGS)
            case _:
                limit = command.limit + _OPEN
                return replace(command, do=f"sleep {_OPEN}\n{command.do}", limit=limit)


def must_exist(plan: Plan, step: str, command: int) -> None:
    """Raises Refused for a step or a command that no host has, before a box is set up.

    A step has the most commands on a host that Cellblock has not changed yet.
    """
    position = plan.position(step)
    made = compile_step(position + 1, plan.steps[position], None)
    if not made.commands:
        raise Refused(f"{step} has no commands, only checks: there is nothing to break")
    if command > len(made.commands):
        raise Refused(
            f"{step} has {len(made.commands)} commands: there is no command {command} to break",
            todo=f"name one from 1 to {len(made.commands)}; cellblock runbook lists them",
        )


def draw(count: int, seed: int, steps: Sequence[str]) -> list[Fault]:
    """That many random faults, in the order of the steps; the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 # repeatable by its seed, and no secret
    drawn = [(dice.randrange(len(steps)), dice.choice(KINDS), dice.random()) for _ in range(count)]
    return [Fault(steps[position], kind, at) for position, kind, at in sorted(drawn)]


class Injector(Listener):
    """Cuts the connection or the power, once, when the host's log names the fault's command. For
    other kinds of faults it does nothing.
    """

    def __init__(self, fault: Fault, command: Command, box: Box) -> None:
        self.fault = fault
        self._line = f"{fault.number:03} {command.says}"
        cuts = {"connection": box.cut, "power": box.pull_plug}
        self._cut = cuts.get(fault.kind)

    def line(self, text: str) -> None:
        if text == self._line and self._cut is not None:
            cut, self._cut = self._cut, None
            cut()


class FaultyRunner(Runner):
    """A runner that puts a fault into one step as it compiles it."""

    fault: Fault | None = None

    def compiled(self, position: int) -> Bundle:
        made = super().compiled(position)
        if self.fault is None or made.step.name != self.fault.step:
            return made
        return self.fault.put_into(made)
