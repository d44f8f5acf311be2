"""A second daemon that a service needs, as Apache may need php-fpm: it moves if the host has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Any, Protocol

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError
from pyinfra.api.facts import FactBase

from operations import jail
from operations.carried import LOCAL_ETC
from operations.command import Commands, Look, Reversible


class Enabled(FactBase[bool]):
    """Whether rc.conf enables an rc script of the host, as rc.subr(8) reads it."""

    @staticmethod
    def default() -> bool:
        return False

    @staticmethod
    def assumed(script: str) -> Look:
        return Look(
            f"service {quote(script)} enabled >/dev/null 2>&1 || echo not enabled",
            "not enabled",
            claim=f"{script} is not enabled on the host",
        )

    def command(self, script: str) -> str:
        return f"service {quote(script)} enabled >/dev/null 2>&1 && echo yes || echo no"

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]


class Use(Protocol):
    """An operation with its arguments (rollout.plan.step)."""

    def commands(self) -> Iterator[Any]: ...


@operation()
def where_enabled(script: str, then: Use) -> Commands:
    """Do `then` on a host that enables this rc script; nothing on another."""
    enabled = host.get_fact(Enabled, script=script)
    try:
        # Also where they are not wanted: facts are asked all at once.
        wanted = list(then.commands())
    except OperationError:
        if enabled:
            raise
        return
    if enabled:
        yield from wanted
    else:
        host.noop(f"{script} is not enabled on the host")


@operation()
def copied(script: str, configuration: Sequence[str], into: str, address: str) -> Commands:
    """Copy what there is of a companion's configuration, and its rc script, into a jail's.

    php-fpm's listen.allowed_clients gets the jail's `address`, which is the sender there of what
    goes to 127.0.0.1. Only before the jail has ever run. Undone with the tree.
    """
    names = [each.removeprefix(f"{LOCAL_ETC}/") for each in configuration]
    found = " ".join(
        f"$(if [ -e {at} ]; then echo {at}; fi)" for at in map(quote, [*names, f"rc.d/{script}"])
    )
    clients = (
        f"s/^([[:space:]]*listen.allowed_clients[[:space:]]*=.*127[.]0[.]0[.]1)/\\1,{address}/"
    )
    yield Reversible(
        f"{jail.packed(LOCAL_ETC, into, f'{jail.NONE} {found}')} "
        f"&& (cd {quote(into)} && find -H {found} /dev/null -type f "
        f"-exec sed -E -i '' -e '{clients}' {{}} +)",
        undo=":",
        says=f"copy {', '.join(names)} and rc.d/{script} from {LOCAL_ETC} to {into}",
    )
