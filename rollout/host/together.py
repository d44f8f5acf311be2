"""Calls that ask the host run side by side, so that their questions share round trips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from greenlet import GreenletExit, getcurrent, greenlet


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
        found: Result = self._hub.switch(command)
        return found

    def run(self, calls: Sequence[Callable[[], object]]) -> list[Ended]:
        """Run all of them to their ends.

        A command that several ask at the same time runs once, for all of them. An error of the
        round trip is raised in each call that waits for it; ^C ends all, and is raised here.
        """
        runs = [greenlet(partial(_end, call)) for call in calls]
        seconds = [0.0] * len(runs)
        self._hub = getcurrent()
        self.answers = {}
        try:
            said = [run.switch() for run in runs]  # its next question, or how it ended
            while asked := {n: each for n, each in enumerate(said) if isinstance(each, str)}:
                answer = self._answers(list(dict.fromkeys(asked.values())))
                for n, command in asked.items():
                    found = answer[command]
                    if isinstance(found, Result):
                        seconds[n] += found.seconds
                        said[n] = runs[n].switch(found)
                    else:
                        said[n] = runs[n].throw(found)
        finally:
            self._hub = None
        return [Ended(error, took) for (error,), took in zip(said, seconds, strict=True)]

    def _answers(self, commands: list[str]) -> dict[str, Result | Exception]:
        try:
            found = dict(zip(commands, self._ask_all(commands), strict=True))
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
