"""Clients that ask a case's questions all through a move, and the count of their answers.

`python -m tests.cases.clients QUESTIONS ANSWERS` is their process: QUESTIONS is a JSON list of
asking.Question; ANSWERS gets a line for each question that was asked. It ends with its stdin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from box.clients.stopping import LONGEST, Pace, Stop
from rollout.engine.listener import Listener
from rollout.plan.step import Step
from tests.cases.asking import LIMIT, Question, ask
from tests.cases.case import Ask
from tests.cases.place import Host

PROJECT = Path(__file__).parents[2]
_ENDS_WITHIN = 3 * LIMIT  # seconds after its stdin has ended
_BEGINS_WITHIN = 3 * LIMIT  # seconds, until each question has been asked once
ARRIVES_WITHIN = 120.0  # seconds, for what a port acknowledged


class Asked(NamedTuple):
    """A question that was asked, by its number, and when (monotonic). No answer is None."""

    number: int
    at: float
    mark: str
    answer: str | None
    failure: str = ""


class Mark(NamedTuple):
    """From this time on (monotonic), this happened to the host."""

    at: float
    doing: str


class Marks(Listener):
    """Notes when each step is applied, and when it is undone."""

    def __init__(self, first: str) -> None:
        self.all = [Mark(time.monotonic(), first)]

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self.all.append(Mark(time.monotonic(), f"apply {step.name}"))

    def undoing(self, step: str, reason: str) -> None:
        self.all.append(Mark(time.monotonic(), f"undo {step}"))


class Tally(NamedTuple):
    """How many questions had the answer from before, another one, none, or none in a gap that the
    step declares.
    """

    right: int
    wrong: int
    failed: int
    in_gap: int
    gap: float
    """Seconds from the last right answer before a declared gap to the first after it."""

    def __str__(self) -> str:
        declared = f", {self.in_gap} in a declared gap of {self.gap:.1f} s" if self.in_gap else ""
        return f"{self.right} right, {self.wrong} wrong, {self.failed} failed{declared}"


class Counts(NamedTuple):
    """(service, what happened to the host) -> its tally; and what was wrong, in words."""

    tallies: Mapping[tuple[str, str], Tally]
    faults: tuple[str, ...]

    def lines(self) -> list[str]:
        """A line per service with the sum, and one for each step that was not right alone."""
        found = []
        for service in dict.fromkeys(service for service, _ in self.tallies):
            mine = {step: tally for (name, step), tally in self.tallies.items() if name == service}
            found.append(f"{service}: {_sum(mine.values())}")
            found += [f"  {step}: {tally}" for step, tally in mine.items() if any(tally[1:4])]
        return found + [f"  {fault}" for fault in self.faults]


def _sum(tallies: Iterable[Tally]) -> Tally:
    *counts, gaps = zip(*tallies, strict=True)
    right, wrong, failed, in_gap = map(sum, counts)
    return Tally(right, wrong, failed, in_gap, max(gaps))


def counted(
    asked: Iterable[Asked],
    questions: Sequence[Question],
    expected: Sequence[str],
    marks: Sequence[Mark],
    gaps: Mapping[str, Iterable[str]],
) -> Counts:
    """`gaps`: step -> the services that it lets be without an answer, as the plan declares.

    Within such a step whatever a question of these services gets, or of one that uses them, counts
    as the gap; it is in the report, and is no fault.
    """
    times = [mark.at for mark in marks]
    sums: dict[tuple[str, str], Counter[str]] = {}
    longest: defaultdict[tuple[str, str], float] = defaultdict(float)
    faults: list[str] = []
    last: dict[int, float] = {}
    open_gaps: dict[int, tuple[str, str]] = {}
    for each in sorted(asked, key=lambda one: one.at):
        question = questions[each.number]
        doing = marks[max(bisect_right(times, each.at) - 1, 0)].doing
        key = (question.service, doing)
        tally = sums.setdefault(key, Counter())
        if each.answer == expected[each.number]:
            tally["right"] += 1
            if gap := open_gaps.pop(each.number, None):
                longest[gap] = max(longest[gap], each.at - last.get(each.number, each.at))
            last[each.number] = each.at
            continue
        step = doing.partition(" ")[2]
        if {question.service, *question.uses} & set(gaps.get(step, ())):
            tally["in_gap"] += 1
            open_gaps.setdefault(each.number, key)
            continue
        tally["failed" if each.answer is None else "wrong"] += 1
        what = f"{question.name or question.sql}{question.path}: {each.failure or each.answer!r}"
        faults.append(f"{doing}: {question.service}: {what}")
    return Counts(
        {
            key: Tally(
                tally["right"], tally["wrong"], tally["failed"], tally["in_gap"], longest[key]
            )
            for key, tally in sums.items()
        },
        tuple(faults),
    )


class Clients:
    """The clients of a host, while the context lasts.

    Each asks one question of the case that is asked from outside, and whose answer was good before
    anything moved: `first` has the answers. `skipped` are the others.
    """

    def __init__(self, host: Host, first: Sequence[str]) -> None:
        self._host = host
        self.questions: list[Question] = []
        self.expected: list[str] = []
        self.skipped: list[str] = []
        self._arriving: list[tuple[int, Ask]] = []
        for each, answer in zip(host.case.ask, first, strict=True):
            question = host.question(each)
            if question is None or each in host.silent:
                self.skipped.append(str(each))
                continue
            if each.arrives:
                self._arriving.append((len(self.questions), each))
            self.questions.append(question)
            self.expected.append(_from_outside(question) if each.sql is not None else answer)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="cellblock-clients-")
        where = Path(self._folder.name)
        self._answers = where / "answers"
        (where / "questions").write_text(json.dumps([each.model_dump() for each in self.questions]))
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.cases.clients"),
                *(str(where / "questions"), str(self._answers)),
            ],
            stdin=subprocess.PIPE,
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        try:
            self._must_ask(time.monotonic() + _BEGINS_WITHIN)
        except BaseException:
            self._end()
            self._folder.cleanup()
            raise
        return self

    def _must_ask(self, deadline: float) -> None:
        """Nothing moves before each question has been asked once: a move that nobody saw proves
        nothing.
        """
        while True:
            whole = self.so_far().rpartition("\n")[0]
            asked = {json.loads(line)[0] for line in whole.splitlines()}
            if len(asked) == len(self.questions):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                unasked = [str(each) for n, each in enumerate(self.questions) if n not in asked]
                raise RuntimeError(f"clients did not ask: {'; '.join(unasked)}")
            time.sleep(0.02)

    def __exit__(self, *exc: object) -> None:
        try:
            self._end()
        finally:
            self.asked = read(self._answers)
            self._folder.cleanup()

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_ENDS_WITHIN)
        finally:
            self._process.kill()
            self._process.wait()

    def so_far(self) -> str:
        """The lines of the answers, while they run."""
        return self._answers.read_text() if self._answers.exists() else ""

    def counted(self, marks: Sequence[Mark]) -> Counts:
        """What they got. What a port acknowledged and that is not there once is a fault, too."""
        gaps = {step.name: step.outage.keys() for step in self._host.plan.steps}
        counts = counted(self.asked, self.questions, self.expected, marks, gaps)
        return counts._replace(faults=(*counts.faults, *self._lost()))

    def _lost(self) -> Iterable[str]:
        for number, each in self._arriving:
            good = {
                one.mark
                for one in self.asked
                if one.number == number and one.answer == self.expected[number]
            }
            deadline = time.monotonic() + ARRIVES_WITHIN
            while True:
                _, out = self._host.sh(each.arrives)
                there = {mark: out.count(mark) for mark in good}
                if all(there.values()) or time.monotonic() > deadline:
                    break
                time.sleep(2)
            odd = {mark: times for mark, times in there.items() if times != 1}
            if odd:
                yield f"{each}: of {len(good)} acknowledged, not there once: {odd}"


def _from_outside(question: Question) -> str:
    with suppress(Exception):
        return ask(question, "none")
    return ""


def read(answers: Path) -> list[Asked]:
    return [Asked(*json.loads(line)) for line in answers.read_text().splitlines()]


def main(questions: Path, answers: Path) -> None:
    stop = Stop(LONGEST)
    stop.obey_stdin()
    given = [Question.model_validate(each) for each in json.loads(questions.read_text())]
    turn = threading.Lock()
    with answers.open("w") as out:

        def run(number: int, question: Question) -> None:
            pace = Pace(1 / question.every)
            while pace.take_turn(stop):
                asked = _asked(number, question)
                with turn:
                    print(json.dumps(asked), file=out, flush=True)

        threads = [
            threading.Thread(target=run, args=each, daemon=True) for each in enumerate(given)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _asked(number: int, question: Question) -> Asked:
    at, mark = time.monotonic(), f"q{os.urandom(6).hex()}"
    try:
        return Asked(number, at, mark, ask(question, mark))
    except Exception as error:  # whatever it raises is no answer, as for a probe
        return Asked(number, at, mark, None, f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
