"""A step whose commands a person types: shown to him, waited for, and then like any other.

The host has all that the undo needs before he types: it takes every command for begun, since nobody
knows how far he is. Until he says that he is through there is no deadline (docs/decisions/0015).
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
    """A command for a person: what it is, what to type, what he sees where it works."""

    says: str
    line: str
    sees: str


class Typist(Protocol):
    """A person, with a shell on the host."""

    def typed(self, step: str, commands: Sequence[Typed]) -> str | None:
        """Show them and wait: "" when all are typed, what went wrong, or None when he left."""


class TerminalTypist:
    """Somebody who reads what stands on this terminal and types it in another."""

    def typed(self, step: str, commands: Sequence[Typed]) -> str | None:
        click.echo("\n".join(shown(step, commands)), err=True)
        asks = f"{step}: Enter when all of it is typed; if something failed, say what: "
        click.echo(asks, nl=False, err=True)
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            return None
        return line.strip() if line else None


def at_terminal() -> Typist:
    """Raises Refused where nobody is at a terminal."""
    if not sys.stdin.isatty():
        raise Refused("--by-hand asks you after each step, and there is no terminal to ask at")
    return TerminalTypist()


def shown(step: str, commands: Sequence[Typed]) -> list[str]:
    """What is laid before the person."""
    lines = ["", f"{step}: on the host, as root, in {SHELL}, one after the other:"]
    for number, command in enumerate(commands, 1):
        lines += ["", f"# {number}. {command.says}", command.line]
        lines.append(f"# see: {command.sees or 'nothing'}")
    return [*lines, ""]


class Manual:
    """Steps whose commands a person types; the runner's ManualEntry."""

    def __init__(self, typist: Typist) -> None:
        self._typist = typist

    def run(
        self, connection: Connection, made: Bundle, token: str, said: Mapping[str, str]
    ) -> Entry:
        """Lay a step down for a person, wait until he has typed it, and see it rest."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        lines = [Typed(each.says, each.do, each.sees) for each in made.commands]
        more = {f"sees/{n:03}.sh": f"{line.sees}\n" for n, line in enumerate(lines, 1)}
        more["hand"] = f"{operator()} since {since}\n"
        script = bundle.upload_script(made, token, JOURNAL, {**said, **more}, "hand")
        connection.session.output(script)
        return self._typed(connection, made.directory, lines)

    def resume(self, connection: Connection, directory: str) -> Entry:
        """Go on with a step that was left while somebody typed: the host shows what it has."""
        there = f"{JOURNAL}/steps/{directory}"
        connection.session.output(f"sh {JOURNAL}/host.sh hand {directory}")
        told = connection.session.output(
            f"cd {there} && for file in do/*.sh; do echo {quote(_MARK)}; cat $file; "
            f"echo {quote(_MARK)}; cat sees/${{file#do/}}; done"
        )
        parts = told.split(f"{_MARK}\n")[1:]
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
                f"{entry.name} waits for your hands: nobody knows how much of it is typed",
                todo="go on with apply --by-hand, or undo it with rollback",
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
                    f"{entry.name}: the host does not take it for typed", evidence=done.err
                )
        return connection.follow(directory)
