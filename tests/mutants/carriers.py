"""A plan without one of its carriers: a mount, a copy, an rc variable or a rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from operations import carried, companion, files, firewall, jail, mount, rc
from rollout.plan.step import Step, Use

_LISTS: dict[object, str] = {
    carried.table: "mounts",
    mount.table: "mounts",
    jail.copies: "names",
    firewall.rules: "bodies",
}
_WHOLE: tuple[object, ...] = (rc.variables_in_jail,)


@dataclass(frozen=True)
class Removable:
    """One entry of an argument of an operation, or a whole operation (`entry` is None then)."""

    step: int
    use: int
    entry: Any
    says: str


def removable(steps: Sequence[Step]) -> list[Removable]:
    """All carriers of a plan, in its order."""
    return [
        found
        for n, step in enumerate(steps)
        for m, use in enumerate(step.operations)
        for found in _of(n, m, step.name, use)
    ]


def _of(step: int, place: int, name: str, use: Use) -> Iterator[Removable]:
    if use.operation in _LISTS:
        for each in use.arguments[_LISTS[use.operation]]:
            yield Removable(step, place, each, f"{name}: {getattr(each, 'target', each)}")
    elif _inner(use).operation in _WHOLE:
        yield Removable(step, place, None, f"{name}: {_inner(use).arguments['rcvar']} and the like")


def _inner(use: Use) -> Use:
    there: Use = use.arguments["then"] if _is(use, companion.where_enabled) else use
    return there


def removed(steps: Sequence[Step], number: int) -> list[Step]:
    """The steps without this carrier. A rule is left out of the rules for the next boot, too."""
    gone = removable(steps)[number]
    step = steps[gone.step]
    uses = list(step.operations)
    if gone.entry is None:
        del uses[gone.use]
    else:
        use = uses[gone.use]
        uses[gone.use] = _without(use, _LISTS[use.operation], gone.entry)
        if _is(use, firewall.rules):
            uses = [_not_saved(each, use.arguments, gone.entry) for each in uses]
    return [replace(each, operations=tuple(uses)) if each is step else each for each in steps]


def _is(use: Use, operation: object) -> bool:
    return use.operation == operation


def _without(use: Use, argument: str, entry: Any) -> Use:
    left = [each for each in use.arguments[argument] if each is not entry]
    return replace(use, arguments={**use.arguments, argument: left})


def _not_saved(use: Use, rule: Mapping[str, Any], body: str) -> Use:
    if not _is(use, files.put):
        return use
    line = f"add {rule['number']} set {rule['set']} {body}\n"
    content = use.arguments["content"].replace(line, "", 1)
    return replace(use, arguments={**use.arguments, "content": content})
