"""An ingredient of a host: a piece of a case, and the words that a refusal may name it by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

SERVICES = ("bind", "mysql", "web", "mail")
"""The subjects that move, in the order of the sample."""


PUBLIC = "203.0.113.2"
PEOPLE = 6
"""Users of a drawn host: each costs questions."""


@dataclass(frozen=True)
class Piece:
    """A part of a case (tests/cases/case.py). `ask`: a service, and what is asked when
    it moves ("": always; "sendmail": mail, where Postfix does not have its place). `pages`: virtual
    host and path of what Apache is asked for. `moves`: services of its own, which move first.
    """

    words: str
    site: Mapping[str, Any] = field(default_factory=dict)
    append: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    ask: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    pages: tuple[tuple[str, str], ...] = ()
    moves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ingredient:
    """`about`: drawn only if one of these services moves. No two of one `kind` are drawn together.
    `base`: only for this base host.
    """

    name: str
    made: Callable[[Random], Piece]
    about: tuple[str, ...] = SERVICES
    kind: str = ""
    base: str = ""


RC_PLACES = (
    "/etc/rc.conf",
    "/etc/rc.conf.local",
    "/etc/rc.conf.d/{script}",
    "/usr/local/etc/rc.conf.d/{script}",
)


def rc(dice: Random, script: str, line: str) -> dict[str, str]:
    """A line for one of the files where rc.subr(8) reads it."""
    return {dice.choice(RC_PLACES).format(script=script): line}


__all__ = ["PEOPLE", "PUBLIC", "SERVICES", "Ingredient", "Piece", "rc"]
