"""A step whose commands a person types: the run shows them, and waits until they are typed.

Before that, the host saves all that the undo needs. It treats every command as begun, since it
cannot know what was typed. There is no deadline until the person reports that everything is typed
(docs/decisions/0015).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import NamedTuple, Protocol

import click

from rollout.engine.connection import Connection
from rollout.errors import Refused, Waiting
from rollout.host import bundle
from rollout.host.bundle import Bundle
from rollout.host.journal import Entry, operator
from rollout.runbook.pages import SHELL
from rollout.site import JOURNAL

_MARK = "=== command"


class Typed(NamedTuple):
    """A command for a person: what it does, what to type, what it prints on success."""

    says: str
    line: str
    sees: str


class Typist(Protocol):
    """A person with a shell on the host."""

    def typed(self, step: str, commands: Sequence[Typed]) -> str | None:
        """Show them and wait. Returns "" if all are typed, what went wrong, or None after ^C."""


class TerminalTypist:
    """A person who reads the commands on this terminal and types them in another."""

    def typed(self, step: str, commands: Sequence[Typed]) -> str | None:
        click.echo("\n".join(shown(step, commands)), err=True)
        prompt = f"{step}: press Enter when everything is typed; if something failed, say what: "
        click.echo(prompt, nl=False, err=True)
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            return None
        return line.strip() if line else None


def at_terminal() -> Typist:
    """Raises Refused if there is no terminal."""
    if not sys.stdin.isatty():
        raise Refused("--by-hand asks you after each step, but there is no terminal to ask at")
    return TerminalTypist()


def shown(step: str, commands: Sequence[Typed]) -> list[str]:
    """The lines to show to the person."""
    lines = ["", f"{step}: type these on the host, as root, in {SHELL}, in this order:"]
    for number, command in enumerate(commands, 1):
        lines += ["", f"# {number}. {command.says}", command.line]
        lines.append(f"# expect: {command.sees or 'nothing'}")
    return [*lines, ""]


class Manual:
    """Steps whose commands a person types; the runner's ManualEntry."""

    def __init__(self, typist: Typist) -> None:
        self._typist = typist

    def run(
        self, connection: Connection, made: Bundle, token: str, gate: Mapping[str, str]
    ) -> Entry:
        """Prepare a step for a person, wait until it is typed, and follow it until it rests."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        lines = [Typed(each.says, each.do, each.sees) for each in made.commands]
        more = {f"sees/{n:03}.sh": f"{line.sees}\n" for n, line in enumerate(lines, 1)}
        more["hand"] = f"{operator()} since {since}\n"
        script = bundle.upload_script(made, token, JOURNAL, {**gate, **more}, "hand")
        connection.session.output(script)
        return self._typed(connection, made.directory, lines)

    def resume(self, connection: Connection, directory: str) -> Entry:
        """Continue a step that was interrupted during manual entry; the host has its commands."""
        there = f"{JOURNAL}/steps/{directory}"
        connection.session.output(f"sh {JOURNAL}/host.sh hand {directory}")
        output = connection.session.output(
            f"cd {there} && for file in do/*.sh; do echo {quote(_MARK)}; cat $file; "
            f"echo {quote(_MARK)}; cat sees/${{file#do/}}; done"
        )
        parts = output.split(f"{_MARK}\n")[1:]
        lines = []
        for text, sees in zip(parts[::2], parts[1::2], strict=True):
            says, _, line = text.partition("\n")
            lines.append(Typed(says.removeprefix("# "), line.rstrip("\n"), sees.strip()))
        return self._typed(connection, directory, lines)

    def _typed(self, connection: Connection, directory: str, lines: Sequence[Typed]) -> Entry:
        entry = connection.entry(directory)
        if not entry.being_typed:  # the host changed since the step was planned
            return connection.follow(directory)
        wrong = self._typist.typed(entry.name, lines)
        if wrong is None:
            raise Waiting(
                f"{entry.name} was interrupted during manual entry: some of it may be typed",
                todo="continue with apply --by-hand, or undo it with rollback",
            )
        if not connection.session.alive:
            connection.renew(directory)
        host_sh = f"sh {JOURNAL}/host.sh"
        if wrong:
            reason = quote(f"by hand: {' '.join(wrong.split())}")
            connection.session.output(f"{host_sh} start-undo {directory} {reason}")
        else:
            done = connection.session.run(f"{host_sh} typed {directory}")
            if done.code != 0 and connection.entry(directory).being_typed:
                raise Refused(
                    f"{entry.name}: the host does not accept it as typed", evidence=done.err
                )
        return connection.follow(directory)
