"""Runs testinfra checks through pytest, over the open connection, and reads their verdicts."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rollout.errors import CellblockError
from rollout.host.bundle import rows
from rollout.host.session import Answers, Said, Session, testinfra_host
from rollout.host.survey import Unanswered
from rollout.plan.step import Check
from rollout.probe.certificates import Certificates
from rollout.probe.transfer import Sink, Transfer
from rollout.site import Site


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


def run(
    checks: Iterable[Check],
    session: Session,
    site: Site,
    outside: Outside,
    ahead: Callable[[], Said] = dict,
) -> list[Verdict]:
    """Run all of `checks`, side by side: what they ask next goes in one round trip.

    What was asked `ahead` is not asked again (Session.begin). If one that is `first` fails, its
    verdict stands for all. A check that cannot be found or collected is a failure, never a pass.
    """
    # Not before: pytest takes a while to load, and the host may be gathering facts meanwhile.
    from rollout.engine.collecting import Broken, Calls, collect

    wanted = tuple(checks)
    asked: dict[str, dict[Check, None]] = {}
    for check in wanted:
        asked.setdefault(check.node, {})[Check(check.test, check.values)] = None
    found, broken = collect({node: next(iter(each)).names for node, each in asked.items()})
    host = testinfra_host(session)
    made = Calls({"host": host, "site": site, "outside": outside})
    calls = [
        made.call(named(check), found[node], dict(check.values))
        for node, each in asked.items()
        for check in each
        if node in found and found[node].values == set(check.names)
    ]
    verdicts = [
        Verdict(
            call.name,
            ended.error is None,
            ended.seconds,
            _message(ended.error),
            answered=not isinstance(ended.error, Unanswered),
        )
        for call, ended in zip(calls, host.backend.together.run(calls, ahead), strict=True)
    ]
    told_first = {named(check) for check in wanted if check.first}
    if missed := [each for each in verdicts if each.name in told_first and not each.passed]:
        return missed
    expected = sum(map(len, asked.values()))
    if broken or len(verdicts) != expected:
        missing = Broken("", f"{len(verdicts)} verdicts for {expected} checks")
        verdicts += [
            Verdict(_name(each.node) if each.node else _ALL, False, 0.0, each.why)
            for each in broken or [missing]
        ]
    return verdicts
