"""Calls that ask the host run side by side, so that their questions share round trips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar, cast

from greenlet import GreenletExit, getcurrent, greenlet

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """What a command on the host ended with. `seconds`: how long after the one before it."""

    code: int
    out: str
    err: str
    seconds: float = 0.0


class Ended(NamedTuple):
    """How a call ended: with `error`, or well. `seconds` is what its questions took on the host."""

    error: BaseException | None
    seconds: float


@dataclass(frozen=True)
class _Several:
    """The questions of calls that one call runs beside each other."""

    commands: tuple[str, ...]


def _all(asked: str | _Several) -> tuple[str, ...]:
    return asked.commands if isinstance(asked, _Several) else (asked,)


def _asked_of_the_one_above(question: str | _Several) -> Any:
    """A call waits here until the one that runs it has the answers."""
    return cast("greenlet", getcurrent().parent).switch(question)


class Together:
    """Runs calls up to their next questions, and asks all of these at once.

    `ask_all` gives the answers to some commands, in their order, in one round trip; an error in the
    place of an answer is raised in the calls that asked. `answers` has all that the calls of the
    last run asked.
    """

    def __init__(self, ask_all: Callable[[Sequence[str]], Sequence[Result | Exception]]) -> None:
        self._ask_all = ask_all
        self._hub: greenlet | None = None
        self.answers: dict[str, Result] = {}

    def ask(self, command: str) -> Result:
        """The answer to one command. A call within `run` waits here while the others go on."""
        if self._hub is None:
            [answer] = self._ask_all([command])
            if isinstance(answer, Exception):
                raise answer
            return answer
        found: Result = _asked_of_the_one_above(command)
        return found

    def beside(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """What these calls return, within a call of `run`, which asks all their questions at once.

        Raises the error of the first that failed, when all have ended.
        """
        if self._hub is None:
            return [call() for call in calls]
        returned: dict[int, T] = {}

        def kept(number: int, call: Callable[[], T]) -> None:
            returned[number] = call()

        ended = self._driven(
            [partial(kept, number, call) for number, call in enumerate(calls)],
            lambda commands: _asked_of_the_one_above(_Several(tuple(commands))),
        )
        for each in ended:
            if each.error is not None:
                raise each.error
        return [returned[number] for number in range(len(calls))]

    def run(
        self,
        calls: Sequence[Callable[[], object]],
        ahead: Callable[[], Mapping[str, Result | Exception]] = dict,
    ) -> list[Ended]:
        """Run all of them to their ends.

        A command that several ask at the same time runs once, for all of them. An error of the
        round trip is raised in each call that waits for it; ^C ends all, and is raised here.
        What was asked `ahead` is not asked again the first time that a call wants it.
        """
        self._hub = getcurrent()
        self.answers = {}
        try:
            return self._driven(calls, partial(self._answers, cache(lambda: dict(ahead()))))
        finally:
            self._hub = None

    @staticmethod
    def _driven(
        calls: Sequence[Callable[[], object]],
        answers: Callable[[list[str]], Mapping[str, Result | Exception]],
    ) -> list[Ended]:
        runs = [greenlet(partial(_end, call)) for call in calls]
        seconds = [0.0] * len(runs)
        said = [run.switch() for run in runs]  # its next questions, or how it ended
        while asked := {n: each for n, each in enumerate(said) if isinstance(each, str | _Several)}:
            answer = answers(list(dict.fromkeys(each for a in asked.values() for each in _all(a))))
            for n, question in asked.items():
                results = {each: answer[each] for each in _all(question)}
                seconds[n] += sum(r.seconds for r in results.values() if isinstance(r, Result))
                if isinstance(question, _Several):
                    said[n] = runs[n].switch(results)
                elif isinstance(found := results[question], Result):
                    said[n] = runs[n].switch(found)
                else:
                    said[n] = runs[n].throw(found)
        return [Ended(error, took) for (error,), took in zip(said, seconds, strict=True)]

    def _answers(
        self, ahead: Callable[[], dict[str, Result | Exception]], commands: list[str]
    ) -> dict[str, Result | Exception]:
        try:
            found = {each: ahead().pop(each) for each in commands if each in ahead()}
            if asked := [each for each in commands if each not in found]:
                found |= zip(asked, self._ask_all(asked), strict=True)
        except Exception as error:
            return dict.fromkeys(commands, error)
        self.answers |= {each: said for each, said in found.items() if isinstance(said, Result)}
        return found


def _end(call: Callable[[], object]) -> tuple[BaseException | None]:
    try:
        call()
    except (KeyboardInterrupt, GreenletExit):
        raise
    except BaseException as error:  # pytest's outcomes are no Exceptions
        return (error,)
    return (None,)
