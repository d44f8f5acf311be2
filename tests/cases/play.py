"""Plays one case: the same answers from start to rollback, or a refusal before any change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from rollout.engine.listener import Listener, Listeners
from rollout.engine.runner import Runner
from rollout.errors import CellblockError, Refused
from rollout.plan import Plan
from rollout.plan.step import Gate, Step
from rollout.rehearsal.box import Box
from rollout.site import JOURNAL
from tests.cases.case import At, Case
from tests.cases.clients import Clients, Marks
from tests.cases.place import NOBODY, CannotBeMade, Host


class Outcome(NamedTuple):
    """`kind` is "same", "refused" or "WRONG"."""

    kind: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.why}" if self.why else self.kind


class Wrong(Exception):
    """The host neither behaved the same nor was refused."""


class _Types(Listener):
    """Types a line on the host when the step has begun."""

    def __init__(self, host: Host, at: At | None) -> None:
        self._host = host
        self._at = at if at and at.during else None

        self._runs = False

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self._runs = self._at is not None and step.name == self._at.step

    def line(self, text: str) -> None:
        if self._at and self._runs:  # the host's log has begun, so its commands run
            at, self._at = self._at, None
            self._host.sh(at.sh)


def _yes(step: str, gate: Gate) -> str:
    return "the case"


Open = Callable[[], AbstractContextManager[Box]]
"""Opens a fresh box with the base host of a case."""


def played(
    case: Case, opened: Open, plan: Plan, say: Callable[[str], None] | None = None
) -> Outcome:
    """Play the case on a box of its own, and return the result.

    With `say`, clients ask the questions while services move, and it gets what they saw.

    The expected answers come from a second box, on which no service moves and all else is done
    alike: a question may change its own answer, for example when it sends a message.
    """
    with opened() as box:
        host = Host(case, plan, box)
        try:
            before = prepared(host)
            why = refusal(host)
            if why:
                return Outcome("refused", why)
            with opened() as other:
                unmoved = Host(case, plan, other)
                found = [prepared(unmoved), *story(unmoved, Unmoved(unmoved))]
                wanted = [unmoved.numbered(each) for each in found]
            compare(case, "before anything", host.numbered(before), wanted.pop(0))
            moved = Moved(host, before, say) if say else Moved(host)
            for when, now in zip(WHEN, story(host, moved), strict=False):
                compare(case, when, host.numbered(now), wanted.pop(0))
        except (Wrong, CannotBeMade, CellblockError) as error:
            return Outcome("WRONG", str(error))
    return Outcome("same")


def prepared(host: Host) -> list[str]:
    """The answers before the move. Raises Wrong when the host of the case gives none at all.

    A port that is silent is an answer, too: it must be silent afterwards.
    """
    host.prepare()
    before = host.answers()
    if all(answer == NOBODY for answer in before):
        asked = ", ".join(map(str, host.case.ask))
        raise Wrong(f"the case itself: no answer to {asked} before the move")
    return before


WHEN = ("after the apply", "after what was written then", "after the restart", "after the rollback")


class Unmoved:
    """A host whose services stay where they are."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def there(self) -> None:
        if self._host.case.at:
            self._host.sh(self._host.case.at.sh)

    def back(self) -> None: ...


class Moved:
    """A host whose services move into jails and back.

    With the answers from before, clients ask the case's questions meanwhile, and `say` gets what
    they saw. Another answer, or none outside a gap that a step declares, raises Wrong.
    """

    def __init__(
        self,
        host: Host,
        before: Sequence[str] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._host = host
        self._before = before
        self._say = say

    def there(self) -> None:
        at = self._host.case.at
        with self._clients("before the apply") as marks:
            types = Listeners(_Types(self._host, at), marks)
            with _runner(self._host, types) as runner:
                if at and not at.during:
                    runner.apply(at.step)
                    self._host.sh(at.sh)
                runner.apply()
            self._host.moved = True

    def back(self) -> None:
        with self._clients("before the rollback") as marks, _runner(self._host, marks) as runner:
            failed = [verdict for verdict in runner.verify() if not verdict.passed]
            if failed:
                raise Wrong(f"verify after the restart: {failed[0].name}: {failed[0].message}")
            runner.rollback()
            self._host.moved = False

    @contextmanager
    def _clients(self, first: str) -> Iterator[Marks]:
        marks = Marks(first)
        if self._before is None:
            yield marks
            return
        clients = Clients(self._host, self._before)
        if clients.skipped:
            self._say(f"no clients ask: {'; '.join(clients.skipped)}")
        with clients:
            yield marks
        counts = clients.counted(marks.all)
        for line in counts.lines():
            self._say(line)
        if counts.faults:
            raise Wrong(f"clients, {len(counts.faults)} times; first {counts.faults[0]}")


def story(host: Host, way: Moved | Unmoved) -> Iterator[list[str]]:
    """The answers at each WHEN."""
    way.there()
    yield host.answers()
    meanwhile = host.case.meanwhile
    if meanwhile and meanwhile.sql is not None:
        host.sql(meanwhile.sql)
    if meanwhile and meanwhile.sh is not None:
        host.sh(meanwhile.sh, meanwhile.where)
    yield [*host.answers(), *_then(host)]
    host.restart()
    yield host.answers()
    way.back()
    yield [*host.answers(), *_then(host)]


def _then(host: Host) -> list[str]:
    """The answer to the question about the data written after the apply."""
    meanwhile = host.case.meanwhile
    if meanwhile is None or meanwhile.then is None:
        return []
    if meanwhile.sql is not None:
        return [host.sql(meanwhile.then)]
    code, out = host.sh(meanwhile.then, meanwhile.where)
    return [f"exit {code}: {out.strip()}"]


def compare(case: Case, when: str, now: list[str], wanted: list[str]) -> None:
    asks = [*map(str, case.ask), case.meanwhile.then if case.meanwhile else ""]
    for ask, is_, should in zip(asks, now, wanted, strict=False):
        if is_ != should:
            raise Wrong(f"{when}: {ask}: {is_!r}, and on a host that is not moved {should!r}")


def refusal(host: Host) -> str:
    """What check or plan refuses, or "". Raises Wrong if the host was changed nevertheless."""
    try:
        with _runner(host, Listener()) as runner:
            _must_fit(runner)
    except Refused as refused:
        code, _ = host.sh(f"test -e {JOURNAL}")
        if code == 0:
            raise Wrong(f"refused, but {JOURNAL} exists: {refused}") from None
        return str(refused)
    return ""


@contextmanager
def _runner(host: Host, listener: Listener) -> Iterator[Runner]:
    with Runner(host.plan, host.box.target, host.box.outside, listener, _yes) as runner:
        runner.connection.connect()
        yield runner


def _must_fit(runner: Runner) -> None:
    """Run the checks of check and plan. Raises Refused when one of them fails."""
    verdicts, fitting = runner.check()
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        raise Refused(
            "check", evidence="\n".join(f"{each.name}: {each.message}" for each in failed)
        )
    fitting.must_fit()
    for step in runner.plan.steps:
        runner.gate(step)
        runner.found(step)


def judged(case: Case, outcome: Outcome) -> Outcome:
    """Whether the result is the expected one."""
    if outcome.kind == "WRONG":
        return outcome
    if outcome.kind not in case.must:
        return Outcome("WRONG", f"must be {case.must}, and is {outcome}")
    missing = [each for each in case.says if not re.search(each, outcome.why)]
    if outcome.kind == "refused" and missing:
        return Outcome("WRONG", f"the refusal does not say {missing}: {outcome.why}")
    return outcome


__all__ = [
    "WHEN",
    "Moved",
    "Outcome",
    "Wrong",
    "compare",
    "judged",
    "played",
    "prepared",
    "refusal",
    "story",
]
