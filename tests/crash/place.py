"""A stand-in at one step of the plan: just before it, or with that step confirmed."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from rollout.engine import checks
from rollout.engine.connection import Connection
from rollout.engine.listener import Listener
from rollout.host import bundle
from rollout.host.bundle import Bundle
from rollout.host.journal import Entry
from rollout.plan import Plan
from rollout.rehearsal.box import standin_box
from rollout.site import JOURNAL
from standin import StandIn
from tests.crash.view import View, differences
from tests.lab.target import close_pipes

HOST_SH = f"sh {JOURNAL}/host.sh"
TOKEN = "t"  # noqa: S105 # no secret
LONG, SHORT = 600, 1  # seconds until the deadline
PATIENCE = 120.0  # seconds: many stand-ins share the machine
RESTS = ("applied", "confirmed", "undone", "stuck")


class Neither(Exception):
    """The step ended neither as before nor confirmed and verified."""


class Line:
    """A target whose connections can die with the operator's machine."""

    def __init__(self, standin: StandIn) -> None:
        self.standin = standin
        self.name = standin.name
        self.shells: list[subprocess.Popen[bytes]] = []

    def shell(self) -> subprocess.Popen[bytes]:
        self._forget()
        self.shells.append(self.standin.shell())
        return self.shells[-1]

    def _forget(self) -> None:
        """Drop the connections that were closed."""
        self.shells = [each for each in self.shells if each.stdin and not each.stdin.closed]

    def send(self, text: str) -> None:
        """Send a line over the newest connection, without waiting for its output."""
        self._forget()
        stdin = self.shells[-1].stdin
        assert stdin is not None
        stdin.write(text.encode() + b"\n")
        stdin.flush()

    def kill(self) -> None:
        self._forget()
        for shell in self.shells:
            shell.kill()
            close_pipes(shell)


class Place:
    """`before` and `applied` are the host's views in those two states of the current step."""

    def __init__(self, plan: Plan, where: Path) -> None:
        self.plan = plan
        self.position = 0
        self.confirmed = False
        self.before: frozenset[str] = frozenset()
        self.applied: frozenset[str] = frozenset()
        self._stack = ExitStack()
        self.box = self._stack.enter_context(standin_box(plan.site, where))
        assert isinstance(self.box.target, StandIn)
        self.standin = self.box.target
        self._view = View(self.standin)
        self.line = Line(self.standin)
        self.connect()
        self._skip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.connection.close()
        self._stack.close()

    # The operator.

    def connect(self) -> None:
        """Connect from a new operator's machine."""
        self.line = Line(self.standin)
        self.connection = Connection(self.plan, self.line, Listener())
        self.connection.take()

    def kill_operator(self) -> None:
        """kill -9 of the operator's machine."""
        self.line.kill()
        self.connection._drop()

    def host_sh(self, *words: str) -> None:
        self.connection.session.output(" ".join((HOST_SH, *words)))

    # Steps.

    def _skip(self) -> None:
        """Skip steps that have only checks; compile the next one."""
        while not self.plan.steps[self.position].operations:
            self.position += 1
        position = self.position
        step = self.plan.steps[position]
        answers = bundle.gather_facts([step], self.connection.session.output)
        self.made = bundle.compile_step(position + 1, step, answers)
        self.before = self._view.take()
        self.applied = frozenset()

    def stand_before(self, position: int) -> None:
        """Confirm steps, without running their checks, until the one at `position` is next."""
        while self.position < position:
            self.apply()
            self.position += 1
            self.confirmed = False
            self._skip()

    @property
    def directory(self) -> str:
        return self.made.directory

    def with_limits(self, *, confirm_within: int = LONG, hangs: int = 0) -> Bundle:
        """The step, with a deadline, and a limit of a second for the command that will hang."""
        commands = list(self.made.commands)
        if hangs:
            commands[hangs - 1] = replace(commands[hangs - 1], limit=1)
        step = replace(self.made.step, confirm_within=confirm_within)
        return replace(self.made, step=step, commands=tuple(commands))

    def begin(self, made: Bundle) -> None:
        self.connection.session.output(bundle.upload_script(made, TOKEN, JOURNAL))

    def settle(self) -> Entry:
        return self.connection.follow(self.directory)

    def apply(self) -> None:
        """Confirm the step, without a fault, unless it is confirmed already."""
        if not self.confirmed:
            self.begin(self.with_limits())
            self.confirm(self.settle(), verify=False)

    def confirm(self, entry: Entry, *, verify: bool = True) -> None:
        if entry.state != "applied":
            raise Neither(f"{entry.state}, expected applied: {entry.reason} {entry.stuck}")
        if verify:
            self._verify()
        self.connection.confirm(entry)
        self.confirmed = True
        now = self._view.take()
        if self.applied and now != self.applied:
            raise Neither(f"not as after another run:\n{differences(self.applied, now)}")
        self.applied = now

    def _verify(self) -> None:
        wanted = self.plan.checks(self.position + 1)
        verdicts = checks.run(wanted, self.connection.session, self.plan.site, self.box.outside)
        failed = [f"{each.name}: {each.message}" for each in verdicts if not each.passed]
        if failed:
            raise Neither("checks fail:\n" + "\n".join(failed))

    def roll_back(self) -> None:
        """Undo the step, without a fault, if it is confirmed."""
        if self.confirmed:
            self.host_sh("start-undo", self.directory, "rollback")
            self.must_be_undone(self.settle())

    def must_be_undone(self, entry: Entry) -> None:
        if entry.state != "undone":
            raise Neither(f"{entry.state}: {entry.reason} {entry.stuck}")
        self.confirmed = False
        now = self._view.take()
        if now != self.before:
            raise Neither(f"undone, but not as before:\n{differences(self.before, now)}")

    # Reading the journal, without a connection.

    @property
    def journal(self) -> Path:
        return self.standin.root / JOURNAL[1:] / "steps" / self.directory

    @property
    def state(self) -> str:
        found = [each.suffix[1:] for each in self.journal.glob("state.*")]
        return found[0] if len(found) == 1 else ""  # glob reads the directory bit by bit

    def wait_until_state(self, *states: str, seconds: float = PATIENCE) -> None:
        """Wait until the host brings the step to one of these states by itself."""
        self._until(lambda: self.state in states, seconds, f"still {self.state}")

    def has_logged(self, text: str, seconds: float = PATIENCE) -> None:
        self._until(lambda: text in self.text("log"), seconds, f"the log never had {text!r}")

    def text(self, name: str) -> str:
        """The contents of a journal file of the step; empty while it does not exist."""
        path = self.journal / name
        return path.read_text(errors="replace") if path.exists() else ""

    def _until(self, holds: object, seconds: float, otherwise: str) -> None:
        assert callable(holds)
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise Neither(otherwise)
            time.sleep(0.03)
