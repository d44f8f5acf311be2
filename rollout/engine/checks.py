"""Runs testinfra checks through pytest, over the open connection, and reads their verdicts."""

from __future__ import annotations

import inspect
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import pytest
import testinfra.host

from rollout.errors import CellblockError
from rollout.host.bundle import rows
from rollout.host.session import Answers, Session, testinfra_host
from rollout.host.survey import Unanswered
from rollout.plan.step import Check, words
from rollout.probe.outside import Certificates
from rollout.probe.transfer import Sink, Transfer
from rollout.site import Site

CHECKS = Path(__file__).parents[2] / "tests" / "checks"
# pytest's own plugins that no check needs. Each costs time at every start, once per step.
_WITHOUT = (
    *("cacheprovider", "terminal", "junitxml", "pastebin", "stepwise", "setuponly", "setupplan"),
    *("debugging", "faulthandler", "threadexception", "unraisableexception", "logging", "doctest"),
    *("unittest", "subtests", "monkeypatch", "recwarn", "tmpdir", "legacypath", "warnings"),
)


class Outside(Protocol):
    """Connects to a public port from outside. Who answers: "host", a jail's name, or None."""

    @property
    def certificates(self) -> Certificates: ...

    def who(self, address: str, port: int, proto: str) -> str | None: ...

    def sink(self) -> Sink:
        """A port of the operator's machine for the host to send to."""
        ...

    def read(self, address: str, port: int, limit: float) -> Transfer:
        """What the host sends over a connection to this port, until it ends, `limit` s at most."""
        ...


@dataclass(frozen=True)
class Verdict:
    """The result of one check. `message` is what was found instead of what was expected.

    One that is not `answered` has not passed: a survey stands in for the host, and lacks an answer.
    """

    name: str
    passed: bool
    seconds: float
    message: str = ""
    answered: bool = True


@dataclass(frozen=True)
class _Later:
    """A fixture's value, found out when a check first wants it: only then may the host be asked."""

    function: Callable[..., Any]
    needs: Mapping[str, Any]

    @cached_property
    def value(self) -> Any:
        return self.function(**_found(self.needs))


def _found(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each.value if isinstance(each, _Later) else each for name, each in values.items()}


@dataclass(frozen=True)
class _Deferred:
    """Takes the place of a fixture's function."""

    function: Callable[..., Any]

    def __call__(self, **needs: Any) -> _Later:
        return _Later(self.function, needs)


@dataclass(frozen=True)
class _Call:
    """A check with its values, as pytest would have called it."""

    name: str
    function: Callable[..., Any]
    values: Mapping[str, Any]

    def __call__(self) -> None:
        self.function(**_found(self.values))


class _Plugin:
    """Gives each check its values, and keeps its call: all are made together, after pytest."""

    def __init__(
        self, checks: tuple[Check, ...], host: testinfra.host.Host, site: Site, outside: Outside
    ) -> None:
        self._asked: dict[str, list[dict[str, object]]] = {}  # node -> the values of each check
        for check in checks:
            self._asked.setdefault(check.node, []).append(dict(check.values))
        self._host = host
        self._site = site
        self._outside = outside
        self.calls: list[_Call] = []
        self.broken: list[Verdict] = []
        self.interrupted = False

    @pytest.fixture(scope="session")
    def host(self) -> testinfra.host.Host:
        return self._host

    @pytest.fixture(scope="session")
    def site(self) -> Site:
        return self._site

    @pytest.fixture(scope="session")
    def outside(self) -> Outside:
        return self._outside

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        node = metafunc.definition.nodeid.rpartition("/")[2]  # no values in it yet
        values = self._asked[node]
        if values[0]:
            names = tuple(values[0])
            rows = list(dict.fromkeys(tuple(each[name] for name in names) for each in values))
            ids = ["-".join(words(row)) for row in rows]
            metafunc.parametrize(names, rows, ids=ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Module | pytest.Class, name: str
    ) -> list[pytest.Item] | None:
        """Leave out what is not asked: pytest would make items of all tests of a module first."""
        node = f"{collector.nodeid.rpartition('/')[2]}::{name}"
        return None if node in self._asked else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> None:
        if inspect.isgeneratorfunction(fixturedef.func):
            pytest.fail(f"the fixture {fixturedef.argname} yields: nothing would come back to it")
        if not isinstance(fixturedef.func, _Deferred):
            fixturedef.func = _Deferred(fixturedef.func)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        wanted = inspect.signature(pyfuncitem.obj).parameters
        values = {name: pyfuncitem.funcargs[name] for name in wanted}
        self.calls.append(_Call(_name(pyfuncitem.nodeid), pyfuncitem.obj, values))
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
            found = str(report.longrepr)
            self.broken.append(Verdict(_name(report.nodeid), False, report.duration, found))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(Verdict(_ALL, False, 0.0, str(report.longrepr)))


_ALL = "all checks could be run"


def _name(nodeid: str) -> str:
    """test_jail.py::test_runs[mysql] -> jail runs: mysql"""
    file, _, function = nodeid.partition("::")
    claim, _, values = function.removesuffix("]").partition("[")
    subject = Path(file).stem.removeprefix("test_")
    words = f"{subject} {claim.removeprefix('test_').replace('_', ' ')}"
    return f"{words}: {values}" if values else words


def named(check: Check) -> str:
    """The name of a check's verdict."""
    values = "-".join(check.about)
    return _name(f"{check.node}[{values}]" if check.values else check.node)


def _message(error: BaseException | None) -> str:
    """What was found, in words, or why a check could not be completed."""
    if error is None:
        return ""
    if isinstance(error, AssertionError):
        return str(error).partition("\nassert ")[0]  # pytest adds the values behind that
    if isinstance(error, OSError):
        return f"the check got no answer: {error.strerror or error}"
    if isinstance(error, CellblockError):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return (
        "the check could not be completed, since it does not understand what it read: "
        f"{error or type(error).__name__} ({Path(where.filename).name}, line {where.lineno})"
    )


def answers(session: Session) -> Answers:
    """What the host answered to the checks that ran last, for facts that are the same commands."""
    asked = testinfra_host(session).backend.together.answers
    return {line: rows(result.out) for line, result in asked.items()}


def run(checks: Iterable[Check], session: Session, site: Site, outside: Outside) -> list[Verdict]:
    """Run all of `checks`, side by side: what they ask next goes in one round trip.

    If one that is `first` fails, its verdict stands for all. A check that cannot be found or
    collected is a failure, never a pass.
    """
    wanted = tuple(checks)
    nodes = list(dict.fromkeys(check.node for check in wanted))
    host = testinfra_host(session)
    plugin = _Plugin(wanted, host, site, outside)
    arguments = [str(CHECKS / node) for node in nodes]
    # With the project as root: a module of the same file name elsewhere stays a different module.
    quiet = ["-s", "--import-mode=importlib", f"--rootdir={CHECKS.parent.parent}"]
    quiet += [f"--confcutdir={CHECKS}", "-c", os.devnull]
    # testinfra's own plugin would give checks a `host` of its own backends.
    quiet += ["--disable-plugin-autoload", *(f"-pno:{name}" for name in _WITHOUT)]
    with plugin.interrupts_wait():
        pytest.main([*quiet, *arguments], plugins=[plugin])
    verdicts = [
        Verdict(
            call.name,
            ended.error is None,
            ended.seconds,
            _message(ended.error),
            answered=not isinstance(ended.error, Unanswered),
        )
        for call, ended in zip(plugin.calls, host.backend.together.run(plugin.calls), strict=True)
    ]
    told_first = {named(check) for check in wanted if check.first}
    if missed := [each for each in verdicts if each.name in told_first and not each.passed]:
        return missed
    expected = len({(check.node, check.values) for check in wanted})
    if plugin.broken or len(verdicts) != expected:
        found = f"{len(verdicts)} verdicts for {expected} checks"
        verdicts += plugin.broken or [Verdict(_ALL, False, 0.0, found)]
    return verdicts
