"""The facts of operations, for checks."""

from __future__ import annotations

from typing import Any

from operations.carried import Ask


def asking(host: Any) -> Ask:
    """Facts, asked as a check asks."""

    def ask(fact: Any, **arguments: Any) -> Any:
        if not all(arguments.values()):
            return fact.default()
        return fact().process(host.run(fact().command(**arguments)).stdout.splitlines())

    return ask
