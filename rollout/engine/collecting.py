"""Finds checks, and the fixtures that they name, through pytest: once for each in a process.

pytest takes as long to find the checks of one step as the host takes to answer them, and a rollout
asks them after every step. So what pytest found is kept, without any host in it.
"""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

CHECKS = Path(__file__).parents[2] / "tests" / "checks"
# pytest's own plugins that no check needs. Each costs time at every start.
_WITHOUT = (
    *("cacheprovider", "terminal", "junitxml", "pastebin", "stepwise", "setuponly", "setupplan"),
    *("debugging", "faulthandler", "threadexception", "unraisableexception", "logging", "doctest"),
    *("unittest", "subtests", "monkeypatch", "recwarn", "tmpdir", "legacypath", "warnings"),
)
_ASKED = "asked"  # in pytest's name of a check, in the place of its values


@dataclass(frozen=True)
class _Given:
    """Stands for a value that is known only when the check is asked."""

    name: str


@dataclass(frozen=True)
class _Fixture:
    """A fixture's function, and what it needs. One that is `shared` has one value for all checks
    that are asked together.
    """

    function: Callable[..., Any]
    shared: bool
    needs: Mapping[str, Any]


class Found(NamedTuple):
    """A check as pytest found it; `values` are the names of those that it is asked with."""

    function: Callable[..., Any]
    values: frozenset[str]
    needs: Mapping[str, Any]


class Broken(NamedTuple):
    """Why pytest could not find the check `node`; "" for a whole file."""

    node: str
    why: str


@dataclass(frozen=True)
class _Later:
    """A fixture's value, found out when a check first wants it: only then may the host be asked."""

    function: Callable[..., Any]
    needs: Mapping[str, Any]

    @cached_property
    def value(self) -> Any:
        return self.function(**_known(self.needs))


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each.value if isinstance(each, _Later) else each for name, each in values.items()}


@dataclass(frozen=True)
class Call:
    """A check with its values, as pytest would have called it."""

    name: str
    function: Callable[..., Any]
    values: Mapping[str, Any]

    def __call__(self) -> None:
        self.function(**_known(self.values))


class Calls:
    """Makes the calls of checks that are asked together: they share the values of fixtures."""

    def __init__(self, everywhere: Mapping[str, Any]) -> None:
        self._everywhere = everywhere
        self._shared: dict[Callable[..., Any], _Later] = {}

    def call(self, name: str, found: Found, values: Mapping[str, Any]) -> Call:
        own: dict[Callable[..., Any], _Later] = {}
        given = {**self._everywhere, **values}
        return Call(name, found.function, self._filled(found.needs, given, own))

    def _filled(
        self,
        needs: Mapping[str, Any],
        given: Mapping[str, Any],
        own: dict[Callable[..., Any], _Later],
    ) -> dict[str, Any]:
        filled = {}
        for name, need in needs.items():
            if isinstance(need, _Given):
                filled[name] = given[need.name]
                continue
            known = self._shared if need.shared else own
            if need.function not in known:
                wanted = self._filled(need.needs, given, own)
                known[need.function] = _Later(need.function, wanted)
            filled[name] = known[need.function]
        return filled


@dataclass(frozen=True)
class _Deferred:
    """Takes the place of a fixture's function."""

    function: Callable[..., Any]
    shared: bool

    def __call__(self, **needs: Any) -> _Fixture:
        return _Fixture(self.function, self.shared, needs)


class _Plugin:
    """Keeps what pytest would call, in place of the calls."""

    def __init__(self, wanted: Mapping[str, Iterable[str]]) -> None:
        self._wanted = wanted
        self.found: dict[str, Found] = {}
        self.broken: list[Broken] = []
        self.interrupted = False

    @pytest.fixture(scope="session")
    def host(self) -> None: ...

    @pytest.fixture(scope="session")
    def site(self) -> None: ...

    @pytest.fixture(scope="session")
    def outside(self) -> None: ...

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        names = tuple(self._wanted[_node(metafunc.definition.nodeid)])
        if names:
            metafunc.parametrize(names, [tuple(map(_Given, names))], ids=[_ASKED])

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Module | pytest.Class, name: str
    ) -> list[pytest.Item] | None:
        """Leave out what is not asked: pytest would make items of all tests of a module first."""
        return None if f"{_node(collector.nodeid)}::{name}" in self._wanted else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> None:
        function = fixturedef.func
        if fixturedef.argname in self._wanted.get(_node(request.node.nodeid), ()):
            return  # pytest's own, which gives the value that it was asked with
        if inspect.isgeneratorfunction(function):
            pytest.fail(f"the fixture {fixturedef.argname} yields: nothing would come back to it")
        if "request" in fixturedef.argnames:
            pytest.fail(f"the fixture {fixturedef.argname} wants pytest itself, which has ended")
        if getattr(function, "__self__", None) is self:
            fixturedef.func = partial(_Given, fixturedef.argname)
        elif not isinstance(function, _Deferred | partial):
            fixturedef.func = _Deferred(function, fixturedef.scope not in ("function", "class"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        wanted = inspect.signature(pyfuncitem.obj).parameters
        node = _node(pyfuncitem.nodeid)
        needs = {name: pyfuncitem.funcargs[name] for name in wanted}
        self.found[node] = Found(pyfuncitem.obj, frozenset(self._wanted[node]), needs)
        return True

    @contextmanager
    def interrupts_wait(self) -> Iterator[None]:
        """Let ^C and SIGTERM raise after pytest only.

        In pytest's own generators they would leave its capture half set up, and print a traceback.
        """

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            self.interrupted = True

        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {each: old for each in wanted if callable(old := signal.getsignal(each))}
        for each in before:
            signal.signal(each, interrupt)
        try:
            yield
        finally:
            for each, old in before.items():
                signal.signal(each, old)
        if self.interrupted:
            raise KeyboardInterrupt

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.broken.append(Broken(_node(report.nodeid), str(report.longrepr)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(Broken("", str(report.longrepr)))


def _node(nodeid: str) -> str:
    """tests/checks/test_jail.py::test_runs[asked] -> test_jail.py::test_runs"""
    return nodeid.removesuffix(f"[{_ASKED}]").rpartition("/")[2]


_FOUND: dict[Path, Found] = {}


def collect(wanted: Mapping[str, Sequence[str]]) -> tuple[dict[str, Found], list[Broken]]:
    """The checks with these nodes, and what could not be found. A node comes with the names of the
    values that it is asked with.
    """
    missing = {node: names for node, names in wanted.items() if CHECKS / node not in _FOUND}
    broken: list[Broken] = []
    if missing:
        plugin = _Plugin(missing)
        # With the project as root: a module of the same name elsewhere stays a different module.
        quiet = ["-s", "--import-mode=importlib", f"--rootdir={CHECKS.parent.parent}"]
        quiet += [f"--confcutdir={CHECKS}", "-c", os.devnull]
        # testinfra's own plugin would give checks a `host` of its own backends.
        quiet += ["--disable-plugin-autoload", *(f"-pno:{name}" for name in _WITHOUT)]
        with plugin.interrupts_wait():
            pytest.main([*quiet, *(str(CHECKS / node) for node in missing)], plugins=[plugin])
        _FOUND.update({CHECKS / node: found for node, found in plugin.found.items()})
        broken = plugin.broken
    return {node: _FOUND[CHECKS / node] for node in wanted if CHECKS / node in _FOUND}, broken


__all__ = ["CHECKS", "Broken", "Call", "Calls", "Found", "collect"]
