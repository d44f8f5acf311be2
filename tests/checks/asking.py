"""The facts of operations, for checks."""

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
