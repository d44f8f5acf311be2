"""The shims: FreeBSD's commands over the model, one noun per file, each with its function."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from standin.linux.shim import Call, Reply, Unknown
from standin.model.host import Host

Handler = Callable[[Host, Call], Reply | Awaitable[Reply]]
H = TypeVar("H", bound=Handler)
COMMANDS: dict[str, Handler] = {}
PLACES: dict[str, str] = {}


def command(*paths: str) -> Callable[[H], H]:
    """Put a shim at each of these paths of the tree; the decorated function implements it."""

    def register(handler: H) -> H:
        for path in paths:
            name = Path(path).name
            COMMANDS[name] = handler
            PLACES[path] = name
        return handler

    return register


async def perform(host: Host, call: Call) -> Reply:
    """Run the command. Raises Unknown and Failed as the command does."""
    reply = begin(host, call)
    return await reply if isinstance(reply, Awaitable) else reply


def begin(host: Host, call: Call) -> Reply | Awaitable[Reply]:
    """The same, of which those that take a while are left to be awaited."""
    handler = COMMANDS.get(call.name)
    if handler is None:
        raise Unknown(f"{call.name}: not known to the stand-in\n", 127)
    return handler(host, call)


def load() -> None:
    """Import every module here, so that each command is registered."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
