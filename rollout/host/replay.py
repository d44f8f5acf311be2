"""A session that records what a host answers, and one that answers from what was recorded."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout.errors import CellblockError, Refused
from rollout.host.session import IN_JAILS, Said, Session, Target
from rollout.host.survey import Answer, Recording, Unanswered
from rollout.host.together import Result

AGAIN = "leave --survey out, or survey the host again with this site file (survey --site)"


class Recorder(Session):
    """A session that keeps all answers. Of a command that ran several times, the last one."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.answers: dict[str, Answer] = {}

    def run_all(self, commands: Sequence[str], **how: Any) -> list[Result]:
        results = super().run_all(commands, **how)
        for command, each in zip(commands, results, strict=True):
            answer = Answer(code=each.code, out=each.out, err=each.err)
            self.answers[command.removeprefix(IN_JAILS)] = answer
        return results


@dataclass(frozen=True)
class Surveyed:
    """A target that no connection leads to: a survey of a host in the place of the host."""

    recording: Recording

    @property
    def name(self) -> str:
        return f"the survey of {self.recording.host}"

    def shell(self) -> subprocess.Popen[bytes]:
        raise Refused(
            f"{self.name} was to be asked over a connection, and it is no host",
            todo="run this command without --survey",
        )


class Replay(Session):
    """Answers from a survey. A command that it does not have is Unanswered, and never guessed."""

    def __init__(self, recording: Recording) -> None:
        self.target = Surveyed(recording)
        self.trips = 0
        self._answers = recording.answers

    @property
    def alive(self) -> bool:
        return True

    def close(self) -> None:
        pass

    @property
    def known(self) -> Mapping[str, Result]:
        return {command: _result(each) for command, each in self._answers.items()}

    def ask_all(self, commands: Sequence[str]) -> list[Result | CellblockError]:
        return [self._answer(each.removeprefix(IN_JAILS)) for each in commands]

    def _answer(self, command: str) -> Result | CellblockError:
        if command in self._answers:
            return _result(self._answers[command])
        lines = [each for each in _FACT.findall(command) or [command] if each not in self._answers]
        return Unanswered(
            f"{self.target.name} does not have what this prints: "
            + "; ".join(each if len(each) <= _SHOWN else f"{each[:_SHOWN]}..." for each in lines),
            todo=AGAIN,
        )

    def begin(self, questions: Sequence[str], **_: Any) -> Callable[[], Said]:
        return lambda: dict(zip(questions, self.ask_all(questions), strict=True))

    def run_all(self, commands: Sequence[str], **_: Any) -> list[Result]:
        found = self.ask_all(commands)
        results = [each for each in found if isinstance(each, Result)]
        if len(results) < len(found):
            raise next(each for each in found if isinstance(each, CellblockError))
        return results


_SHOWN = 160  # of a command: it is named, not to be typed
_FACT = re.compile(r"said=\$\( \(\n(.*?)\n\) 2>/dev/null; echo [.]\)", re.DOTALL)
"""The commands in a script that gathers several facts (bundle.facts_script)."""


def _result(answer: Answer) -> Result:
    return Result(answer.code, answer.out, answer.err)
