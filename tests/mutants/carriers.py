"""A plan without one of its carriers: a mount, a copy, an rc variable or a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from operations import carried, companion, firewall, jail, rc
from operations.doors import Doors, Ways
from rollout.plan.step import Step, Use

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Removable:
    """One carrier of an operation: `without` makes the operation's arguments anew, or None."""

    step: int
    use: int
    says: str
    without: Callable[[Arguments], Arguments] | None


def removable(steps: Sequence[Step]) -> list[Removable]:
    """All carriers of a plan, in its order."""
    return [
        Removable(n, m, f"{step.name}: {says}", without)
        for n, step in enumerate(steps)
        for m, use in enumerate(step.operations)
        for says, without in _of(_inner(use))
    ]


def removed(steps: Sequence[Step], number: int) -> list[Step]:
    """The steps without this carrier."""
    gone = removable(steps)[number]
    step = steps[gone.step]
    uses = list(step.operations)
    if gone.without is None:
        del uses[gone.use]
    else:
        uses[gone.use] = _changed(uses[gone.use], gone.without)
    return [replace(each, operations=tuple(uses)) if each is step else each for each in steps]


def _inner(use: Use) -> Use:
    there: Use = use.arguments["then"] if _is(use, companion.where_enabled) else use
    return there


def _changed(use: Use, without: Callable[[Arguments], Arguments]) -> Use:
    arguments = dict(use.arguments)
    if _is(use, companion.where_enabled):
        return replace(use, arguments={**arguments, "then": _changed(arguments["then"], without)})
    return replace(use, arguments=without(arguments))


def _is(use: Use, operation: object) -> bool:
    return use.operation == operation


_Parts = Iterator[tuple[str, Callable[[Arguments], Arguments] | None]]
_LISTS: dict[object, tuple[str, ...]] = {
    carried.table: ("mounts",),
    jail.copies: ("names", "scripts"),
    companion.copied: ("configuration",),
    firewall.rules: ("bodies",),
}
"""Operation -> arguments that list carriers."""
_TWICE = (*(f"etc/{name}" for name in jail.ETC), "sendmail")
"""Copies without which a jail has the same: they come with its /etc, which is a carrier, too."""


def _of(use: Use) -> _Parts:
    for argument in _LISTS.get(use.operation, ()):
        for each in use.arguments.get(argument, ()):
            if each not in _TWICE:
                yield str(getattr(each, "target", each)), _less(argument, each)
    if _is(use, carried.table) and use.arguments["further"].names:
        yield "what configurations name", _named_by_none
    if _is(use, rc.variables_in_jail):
        yield f"{use.arguments['rcvar']} and the like", None
    if _is(use, firewall.opened):
        yield from _ways(use.arguments["ways"])


def _less(argument: str, gone: object) -> Callable[[Arguments], Arguments]:
    def without(arguments: Arguments) -> Arguments:
        return {**arguments, argument: [each for each in arguments[argument] if each is not gone]}

    return without


def _named_by_none(arguments: Arguments) -> Arguments:
    return {**arguments, "further": replace(arguments["further"], names=())}


def _ways(ways: Ways) -> _Parts:
    """Each port that leads to a jail, and each jail whose 127.0.0.1 does; other ways as a whole."""
    for n, way in enumerate(ways.each):
        if not isinstance(way, Doors):
            yield f"{ways}: {way}", _way(n, ())
            continue
        answers = way.what == "answers"  # over UDP, to whoever asked
        for port in way.ports:
            if answers and port[0] != "udp":
                continue
            left = tuple(each for each in way.ports if each != port)
            less = (replace(way, ports=left),) if left else ()
            yield f"{way.what} {port[0]} {port[1]} to {way.jail}", _way(n, less)
        for other in () if answers else way.others or ():
            less = (replace(way, others=tuple(each for each in way.others or () if each != other)),)
            yield f"{way.what} at 127.0.0.1 of {other} to {way.jail}", _way(n, less)


def _way(number: int, instead: tuple[Any, ...]) -> Callable[[Arguments], Arguments]:
    def without(arguments: Arguments) -> Arguments:
        ways = arguments["ways"]
        each = (*ways.each[:number], *instead, *ways.each[number + 1 :])
        return {**arguments, "ways": replace(ways, each=each)}

    return without
