"""Whatever one is told, all are."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from rollout.told import Each, Told

METHODS = [name for name, _ in inspect.getmembers(Told, inspect.isfunction) if name[0] != "_"]


def noting(heard: list[tuple[str, tuple[Any, ...]]]) -> Told:
    def note(name: str) -> Any:
        return lambda _, *given: heard.append((name, given))

    return type("Noting", (Told,), {name: note(name) for name in METHODS})()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", METHODS)
def test_each_is_told_all_of_it(name: str) -> None:
    first: list[tuple[str, tuple[Any, ...]]] = []
    second: list[tuple[str, tuple[Any, ...]]] = []
    given = [object() for _ in list(inspect.signature(getattr(Told, name)).parameters)[1:]]
    getattr(Each(noting(first), noting(second)), name)(*given)
    assert first == second == [(name, tuple(given))]
