"""Every listener gets every event."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from rollout.engine.listener import Listener, Listeners

METHODS = [name for name, _ in inspect.getmembers(Listener, inspect.isfunction) if name[0] != "_"]


def noting(heard: list[tuple[str, tuple[Any, ...]]]) -> Listener:
    def note(name: str) -> Any:
        return lambda _, *given: heard.append((name, given))

    return type("Noting", (Listener,), {name: note(name) for name in METHODS})()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", METHODS)
def test_each_is_told_all_of_it(name: str) -> None:
    first: list[tuple[str, tuple[Any, ...]]] = []
    second: list[tuple[str, tuple[Any, ...]]] = []
    given = [object() for _ in list(inspect.signature(getattr(Listener, name)).parameters)[1:]]
    getattr(Listeners(noting(first), noting(second)), name)(*given)
    assert first == second == [(name, tuple(given))]
