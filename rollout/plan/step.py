"""A step: one named, reversible, checked unit. A value: building one touches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from pyinfra.api.command import PyinfraCommand

NEEDS = "needs of"
"""How a finding begins that lists what a daemon needs; the others list what refers to a daemon."""


class Operation(Protocol):
    """A pyinfra operation. `_inner` is how pyinfra itself uses one operation within another."""

    __name__: str
    __module__: str

    def _inner(self, *args: Any, **kwargs: Any) -> Iterator[PyinfraCommand]: ...


@dataclass(frozen=True)
class Use:
    """An operation with its arguments. It has not yielded its commands yet."""

    operation: Operation
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def commands(self) -> Iterator[PyinfraCommand]:
        return self.operation._inner(**self.arguments)

    def __str__(self) -> str:
        noun = self.operation.__module__.rpartition(".")[2]
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{noun}.{self.operation.__name__}({given})"

    __repr__ = __str__  # it may be an argument of another, and then counts in the hash of the step


def use(operation: Any, **arguments: Any) -> Use:
    return Use(operation, arguments)


@dataclass(frozen=True)
class Check:
    """A testinfra test in tests/checks, with the values of its fixtures.

    `test` is FILE::FUNCTION without "test_" and ".py": "jail::runs" is test_runs in test_jail.py.
    It runs after its step and after every later one, up to and not including the step `until`.
    With `ahead` it compares a jail that waits with the host, for the steps to come: it is not asked
    on the way back, when the host may have gone on and nobody uses the jail. Without one that is
    `first` nothing else can be known: if it fails, the others of that run are not told. One that
    `leaves` something on the host, such as a message, is for a person, and not for every hour.
    """

    test: str
    values: tuple[tuple[str, Any], ...] = ()
    until: str | None = None
    ahead: bool = False
    first: bool = False
    leaves: bool = field(default=False, repr=False)  # it asks the same: no reason to rehearse anew

    @property
    def node(self) -> str:
        file, _, function = self.test.partition("::")
        return f"test_{file}.py::test_{function}"

    @property
    def names(self) -> tuple[str, ...]:
        """Of its values."""
        return tuple(name for name, _ in self.values)

    @property
    def about(self) -> tuple[str, ...]:
        """Its values in words, for people."""
        return words(value for _, value in self.values)


def words(values: Iterable[object]) -> tuple[str, ...]:
    """Values in words; None is no word."""
    return tuple(str(value) for value in values if value is not None)


def check(
    test: str,
    *,
    until: str | None = None,
    ahead: bool = False,
    first: bool = False,
    leaves: bool = False,
    **values: Any,
) -> Check:
    return Check(test, tuple(values.items()), until, ahead, first, leaves)


@dataclass(frozen=True)
class Gate:
    """A stop for a person: a question, and what to look at before saying yes.

    With `unless` the question is skipped if all those checks pass; otherwise their findings are
    shown with it.
    """

    question: str
    look_at: tuple[str, ...]
    unless: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Step:
    """What is done, why, how it is checked, and the outage that it may cause.

    `does` says it in a few words, for a line of the plan: 36 characters at the most.
    `outage` is what users may notice: service -> maximum seconds without an answer; a service that
    is not named may have none. `tell` names other people who must be informed, for the runbook.
    `finds` are checks for the plan only: their findings are listed, and never fail a run.
    `confirm_within` is in seconds from the end of the commands; a plan sets it to the site's value.
    """

    name: str
    why: str
    operations: tuple[Use, ...]
    checks: tuple[Check, ...]
    gate: Gate | None = None
    outage: Mapping[str, float] = field(default_factory=dict)
    point_of_no_return: bool = False
    confirm_within: int = 120
    tell: tuple[str, ...] = ()
    finds: tuple[Check, ...] = ()
    does: str = ""

    @property
    def hash(self) -> str:
        """What it does, and nothing of what comes before or after it (docs/decisions/0034)."""
        text = "\n".join([self.name, *map(str, self.operations)])
        return sha256(text.encode()).hexdigest()[:16]
