"""Gates: the answer comes from the terminal, an option or a file; the host records it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rollout.errors import Refused, Waiting
from rollout.host.journal import operator
from rollout.plan import Plan
from rollout.plan.step import Gate
from rollout.site import toml

Answer = Callable[[str, Gate], str]
"""Called at a step's gate. It returns who said yes, as the journal records it, or "" for no."""


def nobody(step: str, gate: Gate) -> str:
    """The run stops at the gate."""
    return ""


def always(step: str, gate: Gate) -> str:
    """--yes: the operator's answer, given before the question was shown."""
    _show(step, gate)
    return f"{operator()}, by --yes"


def _show(step: str, gate: Gate) -> None:
    """Print the question and its evidence."""
    lines = [row for each in gate.look_at for row in each.splitlines()]
    text = ["", f"{step}: {gate.question} Look at:", *(f"  - {line}" for line in lines)]
    click.echo("\n".join(text), err=True)


def person(step: str, gate: Gate) -> str:
    """Ask at the terminal. Without a terminal, as in a cron job, the answer is no."""
    if not sys.stdin.isatty():
        return ""
    _show(step, gate)
    yes = click.confirm(f"{step}: {gate.question}", err=True)
    return f"{operator()}, at the terminal" if yes else ""


def chosen(plan: Plan, yes: bool, answers: Path | None) -> Answer:
    """How the gates of a run are answered. Raises Refused for answers that do not fit the plan."""
    if yes and answers:
        raise Refused(
            "--yes and --answers were given together",
            todo="give one; a file may say yes at every gate",
        )
    if answers:
        return read(answers, plan, person)
    return always if yes else person


def record(gate: Gate, by: str) -> dict[str, str]:
    """The journal's files for a gate: the question, what was shown with it, who said yes, when."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    shown = "".join(f"{line}\n" for each in gate.look_at for line in each.splitlines())
    return {"gate": f"{gate.question}\n{shown}", "said": f"yes, {by}, at {now}\n"}


class FileAnswer(BaseModel):
    """One answer of the file. `at` is when it was given, if that was before the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: Literal["yes", "no"]
    by: Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
    at: datetime | None = None


class Answers:
    """The answers of a file, as an `Answer`. `otherwise` answers at gates that it does not name."""

    def __init__(self, path: Path, answers: Mapping[str, FileAnswer], otherwise: Answer) -> None:
        self.path = path
        self._answers = answers
        self._otherwise = otherwise

    def __call__(self, step: str, gate: Gate) -> str:
        found = self._answers.get(step)
        if found is None:
            return self._otherwise(step, gate)
        if found.answer == "no":
            raise Waiting(
                f"{step} waits at its gate: {gate.question}",
                evidence="\n".join((f"{found.by} says no in {self.path}", *gate.look_at)),
                todo="ask them; the steps before it stay confirmed",
            )
        _show(step, gate)
        given = f", given {found.at.isoformat()}" if found.at else ""
        return f"{found.by}{given}, by {self.path.name} of {operator()}"


def read(path: Path, plan: Plan, otherwise: Answer = nobody) -> Answers:
    """Read a file of answers. Raises Refused naming file, step and what was expected.

    The file has one table per step, with the step's name: `answer` ("yes" or "no"), `by` (who said
    so), and optionally `at` (when).
    """
    gates = {step.name: step.gate for step in plan.steps if step.gate}

    def foreign(name: str) -> str:
        if name in gates:
            return ""
        has = "has no gate" if name in {step.name for step in plan.steps} else "is no step"
        return f"{name}: {has}; gates: {', '.join(gates) or 'none in this plan'}"

    return Answers(path, given(path, foreign), otherwise)


def given(path: Path, foreign: Callable[[str], str] = lambda name: "") -> dict[str, FileAnswer]:
    """The answers of a file by their steps. `foreign` says why a step cannot have one, or "".

    Raises Refused as `read` does.
    """
    answers: dict[str, FileAnswer] = {}
    wrong: list[str] = []
    for name, value in _tables(toml.load(path, todo=_FORM)):
        if why := foreign(name):
            wrong.append(why)
            continue
        try:
            answers[name] = FileAnswer.model_validate(value)
        except ValidationError as error:
            wrong += (toml.problem(item, name) for item in error.errors())
    if wrong:
        raise Refused(
            f"{path}: {len(wrong)} answer(s) are not as expected",
            evidence="\n".join(wrong),
            todo=_FORM,
        )
    return answers


_FORM = 'expected tables like [bind.retire] with answer = "yes" (or "no") and by = "who says so"'


_DEEPEST = 8  # tables within tables; no step name has more dots


def _tables(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The tables by step name. TOML reads [bind.retire] as a table in a table; this joins them."""
    for key, value in data.items():
        name = f"{above}{key}"
        inner = isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())
        if inner and value and name.count(".") < _DEEPEST:
            yield from _tables(value, f"{name}.")
        else:
            yield name, value
