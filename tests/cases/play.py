"""Plays one case: the same answers all the way there and back, or a refusal before anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import CellblockError, Refused
from rollout.plan import Plan
from rollout.plan.step import Gate
from rollout.rehearsal.box import Box
from rollout.site import JOURNAL
from tests.cases.case import Ask, At, Case
from tests.cases.place import NOBODY, CannotBeMade, Host


class Outcome(NamedTuple):
    """`kind` is "same", "refused" or "WRONG"."""

    kind: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.why}" if self.why else self.kind


class Wrong(Exception):
    """Neither the same nor refused."""


class _Types(Listener):
    """Types a line on the host when the step has begun."""

    def __init__(self, host: Host, at: At | None) -> None:
        self._host = host
        self._at = at if at and at.during else None

    def line(self, text: str) -> None:
        if self._at and re.search(rf"-{re.escape(self._at.step)}: applying$|^\d\d\d ", text):
            if self._step != self._at.step:
                return
            at, self._at = self._at, None
            self._host.sh(at.sh)

    _step = ""

    def step(self, step: object, doing: str, commands: int = 0) -> None:
        self._step = getattr(step, "name", "")


def _yes(step: str, gate: Gate) -> str:
    return "the case"


def played(case: Case, opened: AbstractContextManager[Box], plan: Plan) -> Outcome:
    """Play the case on a box of its own, and say what came of it."""
    with opened as box:
        host = Host(case, plan, box)
        try:
            before = _prepared(host)
            refusal = _refusal(host)
            if refusal:
                return Outcome("refused", refusal)
            _there_and_back(host, before)
        except (Wrong, CannotBeMade, CellblockError) as error:
            return Outcome("WRONG", str(error))
    return Outcome("same")


def _prepared(host: Host) -> list[str]:
    """The answers before anything. Raises Wrong for a case whose host does not answer at all."""
    host.prepare()
    before = host.answers()
    silent = [str(ask) for ask, a in zip(host.case.ask, before, strict=True) if a == NOBODY]
    if silent:
        raise Wrong(f"the case itself: nobody answers {', '.join(silent)} to begin with")
    return before


def _refusal(host: Host) -> str:
    """What check or plan refuses, or "". Raises Wrong where something was touched all the same."""
    try:
        with _runner(host, Listener()) as runner:
            _must_fit(runner)
    except Refused as refused:
        code, _ = host.sh(f"test -e {JOURNAL}")
        if code == 0:
            raise Wrong(f"refused, and {JOURNAL} is there: {refused}") from None
        return str(refused)
    return ""


@contextmanager
def _runner(host: Host, listener: Listener) -> Iterator[Runner]:
    with Runner(host.plan, host.box.target, host.box.outside, listener, _yes) as runner:
        runner.connection.connect()
        yield runner


def _must_fit(runner: Runner) -> None:
    """What check and plan ask. Raises Refused where one of them does."""
    failed = [verdict for verdict in runner.verify() if not verdict.passed]
    if failed:
        raise Refused(
            "check", evidence="\n".join(f"{each.name}: {each.message}" for each in failed)
        )
    for position, step in enumerate(runner.plan.steps):
        runner.compiled(position)
        runner.gate(step)
        runner.found(step)


def _there_and_back(host: Host, before: list[str]) -> None:
    case = host.case
    with _runner(host, _Types(host, case.at)) as runner:
        if case.at and not case.at.during:
            runner.apply(case.at.step)
            host.sh(case.at.sh)
        runner.apply()
    host.moved = True
    # What was changed in the middle is the new "before".
    before = _same(host, [] if case.at else before, "after the apply")
    written = _written(host)
    if case.meanwhile and case.meanwhile.then is None:
        before = _same(host, before, "after what was done meanwhile")
    host.box.reboot()
    _same(host, before, "after the restart")
    with _runner(host, Listener()) as runner:
        failed = [verdict for verdict in runner.verify() if not verdict.passed]
        if failed:
            raise Wrong(f"verify after the restart: {failed[0].name}: {failed[0].message}")
        runner.rollback()
    host.moved = False
    _same(host, before, "after the rollback")
    then = case.meanwhile.then if case.meanwhile else None
    if then is not None and (now := _asked(host, then)) != written:
        raise Wrong(f"after the rollback: {then}: {now!r}, and it was {written!r}")


def _same(host: Host, before: list[str], when: str) -> list[str]:
    now = host.answers()
    for ask, was, is_ in zip(host.case.ask, before or now, now, strict=True):
        if was != is_:
            raise Wrong(f"{when}: {ask}: {is_!r}, and it was {was!r}")
    return now


def _written(host: Host) -> str:
    """Write what is written meanwhile; the answer that must still be given after the rollback."""
    meanwhile = host.case.meanwhile
    if meanwhile is None:
        return ""
    if meanwhile.sql is not None:
        host.sql(meanwhile.sql)
    if meanwhile.sh is not None:
        host.sh(meanwhile.sh, meanwhile.where)
    return _asked(host, meanwhile.then) if meanwhile.then is not None else ""


def _asked(host: Host, then: str) -> str:
    meanwhile = host.case.meanwhile
    assert meanwhile is not None
    if meanwhile.sql is not None:
        return host.answer(Ask.model_validate({"sql": then}))
    return host.answer(Ask.model_validate({"sh": then, "where": meanwhile.where}))


def judged(case: Case, outcome: Outcome) -> Outcome:
    """Whether that is what must come out."""
    if outcome.kind == "WRONG":
        return outcome
    if outcome.kind not in case.must:
        return Outcome("WRONG", f"must be {case.must}, and is {outcome}")
    missing = [each for each in case.says if not re.search(each, outcome.why)]
    if outcome.kind == "refused" and missing:
        return Outcome("WRONG", f"the refusal does not say {missing}: {outcome.why}")
    return outcome


__all__ = ["Outcome", "judged", "played"]
