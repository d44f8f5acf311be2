"""Runs testinfra checks through pytest, over the open connection, and reads their verdicts."""

from __future__ import annotations

import inspect
import os
import signal
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

import pytest
import testinfra.host

from rollout.errors import CellblockError
from rollout.host.session import Session, testinfra_host
from rollout.plan.step import Check
from rollout.probe.outside import Certificates
from rollout.probe.transfer import Sink, Transfer
from rollout.site import Site

CHECKS = Path(__file__).parents[2] / "tests" / "checks"
# pytest's own plugins that no check needs. Each costs time at every start, once per step.
_WITHOUT = (
    *("cacheprovider", "terminal", "junitxml", "pastebin", "stepwise", "setuponly", "setupplan"),
    *("debugging", "faulthandler", "threadexception", "unraisableexception", "logging", "doctest"),
    *("unittest", "subtests", "monkeypatch", "recwarn", "tmpdir", "legacypath"),
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
    """The result of one check. `message` is what was found instead of what was expected."""

    name: str
    passed: bool
    seconds: float
    message: str = ""


class _Plugin:
    """Gives each check its values, and collects the verdicts."""

    def __init__(
        self, checks: tuple[Check, ...], host: testinfra.host.Host, site: Site, outside: Outside
    ) -> None:
        self._asked: dict[str, list[dict[str, object]]] = {}  # node -> the values of each check
        for check in checks:
            self._asked.setdefault(check.node, []).append(dict(check.values))
        self._host = host
        self._site = site
        self._outside = outside
        self.verdicts: list[Verdict] = []
        self.broken: list[str] = []
        self.interrupted = False
        self._running = False

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
            metafunc.parametrize(names, rows, ids=["-".join(map(str, row)) for row in rows])

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Module | pytest.Class, name: str
    ) -> list[pytest.Item] | None:
        """Leave out what is not asked: pytest would make items of all tests of a module first."""
        node = f"{collector.nodeid.rpartition('/')[2]}::{name}"
        return None if node in self._asked else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        if self.interrupted:
            raise KeyboardInterrupt
        wanted = inspect.signature(pyfuncitem.obj).parameters
        self._running = True
        try:
            pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted})
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(_incomplete(error)) from error
        finally:
            self._running = False
        return True

    @contextmanager
    def interrupts_only_checks(self) -> Iterator[None]:
        """Let ^C and SIGTERM raise in a check or before the next one, and nowhere else.

        In pytest's own generators they would leave its capture half set up, and print a traceback.
        """

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            self.interrupted = True
            if self._running:
                raise KeyboardInterrupt

        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {each: old for each in wanted if callable(old := signal.getsignal(each))}
        for each in before:
            signal.signal(each, interrupt)
        try:
            yield
        finally:
            for each, old in before.items():
                signal.signal(each, old)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            name = _name(report.nodeid)
            self.verdicts.append(Verdict(name, report.passed, report.duration, _message(report)))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.interrupted |= excinfo.type is KeyboardInterrupt  # pytest also raises one of its own

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(str(report.longrepr))


def _name(nodeid: str) -> str:
    """test_jail.py::test_runs[mysql] -> jail runs: mysql"""
    file, _, function = nodeid.partition("::")
    claim, _, values = function.removesuffix("]").partition("[")
    subject = Path(file).stem.removeprefix("test_")
    words = f"{subject} {claim.removeprefix('test_').replace('_', ' ')}"
    return f"{words}: {values}" if values else words


def named(check: Check) -> str:
    """The name of a check's verdict."""
    values = "-".join(str(value) for _, value in check.values)
    return _name(f"{check.node}[{values}]" if check.values else check.node)


def _incomplete(error: Exception) -> str:
    """The message for a check that could not be completed."""
    if isinstance(error, OSError):
        return f"the check got no answer: {error.strerror or error}"
    if isinstance(error, CellblockError):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return (
        "the check could not be completed, since it does not understand what it read: "
        f"{error or type(error).__name__} ({Path(where.filename).name}, line {where.lineno})"
    )


def _message(report: pytest.TestReport) -> str:
    if report.passed:
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash else report.longrepr)
    return text.partition("\nassert ")[0].removeprefix("AssertionError: ")


def run(
    checks: Iterable[Check],
    session: Session,
    site: Site,
    outside: Outside,
    *,
    first: bool = False,
) -> list[Verdict]:
    """Run all of `checks`; with `first`, stop at the first that fails.

    A check that cannot be found or collected is a failure, never a pass.
    """
    wanted = tuple(checks)
    nodes = list(dict.fromkeys(check.node for check in wanted))
    plugin = _Plugin(wanted, testinfra_host(session), site, outside)
    arguments = [str(CHECKS / node) for node in nodes]
    # With the project as root: a module of the same file name elsewhere stays a different module.
    quiet = ["-s", "--import-mode=importlib", f"--rootdir={CHECKS.parent.parent}"]
    quiet += [f"--confcutdir={CHECKS}", "-c", os.devnull]
    # testinfra's own plugin would give checks a `host` of its own backends.
    quiet += ["--disable-plugin-autoload", *(f"-pno:{name}" for name in _WITHOUT)]
    if first:
        quiet.append("--exitfirst")
    with plugin.interrupts_only_checks():
        pytest.main([*quiet, *arguments], plugins=[plugin])
    if plugin.interrupted:  # pytest does not raise it; half of the verdicts are no result
        raise KeyboardInterrupt
    expected = len({(check.node, check.values) for check in wanted})
    failed = plugin.broken or not all(verdict.passed for verdict in plugin.verdicts)
    if plugin.broken or (len(plugin.verdicts) != expected and not (first and failed)):
        found = "\n".join(plugin.broken) or f"{len(plugin.verdicts)} verdicts for {expected} checks"
        plugin.verdicts.append(Verdict("all checks could be run", False, 0.0, found))
    return plugin.verdicts
