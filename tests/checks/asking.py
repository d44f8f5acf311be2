"""How checks ask: the facts of operations, and what has to be met in time from outside."""

from __future__ import annotations

from typing import Any

from operations.carried import Ask


def asking(host: Any) -> Ask:
    """Facts, as a check asks them: each command runs once for all uses of what this returns."""
    known: dict[str, list[str]] = {}

    def ask(fact: Any, **arguments: Any) -> Any:
        if not all(arguments.values()):
            return fact.default()
        command = fact().command(**arguments)
        if command not in known:
            known[command] = host.run(command).stdout.splitlines()
        return fact().process(known[command])

    return ask


def at_once(host: Any, command: str) -> None:
    """Run it now, and not with what other checks ask next (docs/decisions/0029): for what goes on
    in the background and is met from outside within seconds.
    """
    host.backend.session.run(command)
