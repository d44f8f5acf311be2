"""Shared by all tests: the laboratory's fixtures (a real FreeBSD guest, where an image is
available), and a directory for the reports of their runs.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from itertools import chain, groupby, zip_longest
from pathlib import Path
from typing import Any

import pytest

from standin import memory

pytest_plugins = ["tests.lab.fixtures"]


def pytest_configure() -> None:
    """tmp_path is in memory: the stand-ins in it sync a file for each command that they record."""
    if place := memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Collecting thousands of tests makes no garbage, so the collector is off meanwhile."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Alternate files of rehearsals, which keep a core busy, with files of tests that wait for a
    guard or a limit: so xdist's workers run both kinds at the same time.
    """
    here = Path(__file__).parent
    works: list[list[pytest.Item]] = []
    waits: list[list[pytest.Item]] = []
    others: list[list[pytest.Item]] = []
    for path, tests in groupby(items, lambda item: item.path):
        kind = works if here / "rehearsal" in path.parents else others
        kind = waits if here / "unit" / "rollout" in path.parents else kind
        kind.append(list(tests))
    turns = chain.from_iterable(zip_longest(works, waits, fillvalue=[]))
    items[:] = chain.from_iterable((*turns, *others))


@pytest.fixture(scope="session", autouse=True)
def _reports_are_nobodys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
