"""Gates: who says yes, at the terminal or in a file, and what the host records of it."""

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
"""Asked at a step's gate: who says yes, in the words of the record; "" when nobody does."""


def nobody(step: str, gate: Gate) -> str:
    """The run stops at the gate."""
    return ""


def always(step: str, gate: Gate) -> str:
    """--yes: the operator's answer, given before the question was shown."""
    _show(step, gate)
    return f"{operator()}, by --yes"


def _show(step: str, gate: Gate) -> None:
    """The question and its evidence, whoever answers."""
    lines = [row for each in gate.look_at for row in each.splitlines()]
    told = ["", f"{step}: {gate.question} Look at:", *(f"  - {line}" for line in lines)]
    click.echo("\n".join(told), err=True)


def person(step: str, gate: Gate) -> str:
    """The person at the terminal. Without one, as in a cron job, the answer is no."""
    if not sys.stdin.isatty():
        return ""
    _show(step, gate)
    yes = click.confirm(f"{step}: {gate.question}", err=True)
    return f"{operator()}, at the terminal" if yes else ""


def chosen(plan: Plan, yes: bool, answers: Path | None) -> Answer:
    """Who answers at the gates of a run. Raises Refused for answers that do not fit the plan."""
    if yes and answers:
        raise Refused(
            "--yes and --answers were given together",
            todo="give one; a file may say yes at every gate",
        )
    if answers:
        return read(answers, plan, person)
    return always if yes else person


def record(gate: Gate, by: str) -> dict[str, str]:
    """The files of the journal that say what was asked, what was shown, and who said yes, when."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    shown = "".join(f"{line}\n" for each in gate.look_at for line in each.splitlines())
    return {"gate": f"{gate.question}\n{shown}", "said": f"yes, {by}, at {now}\n"}


class _Said(BaseModel):
    """One answer of the file. `at` is when it was given, if that was before the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: Literal["yes", "no"]
    by: Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
    at: datetime | None = None


class Answers:
    """The answers of a file, for an `Answer`: `otherwise` answers what it does not."""

    def __init__(self, path: Path, said: Mapping[str, _Said], otherwise: Answer) -> None:
        self.path = path
        self._said = said
        self._otherwise = otherwise

    def __call__(self, step: str, gate: Gate) -> str:
        said = self._said.get(step)
        if said is None:
            return self._otherwise(step, gate)
        if said.answer == "no":
            raise Waiting(
                f"{step} waits for a yes: {gate.question}",
                evidence="\n".join((f"{said.by} says no in {self.path}", *gate.look_at)),
                todo="ask them; the steps before it stay confirmed",
            )
        _show(step, gate)
        given = f", given {said.at.isoformat()}" if said.at else ""
        return f"{said.by}{given}, by {self.path.name} of {operator()}"


def read(path: Path, plan: Plan, otherwise: Answer = nobody) -> Answers:
    """Read a file of answers. Raises Refused naming file, step and what was expected.

    A table a step, named like it, with `answer` ("yes" or "no"), `by` (who said so) and perhaps
    `at` (when).
    """
    data = toml.load(path, todo=_FORM)
    gates = {step.name: step.gate for step in plan.steps if step.gate}
    said: dict[str, _Said] = {}
    wrong: list[str] = []
    for name, value in _tables(data):
        if name not in gates:
            has = "has no gate" if name in {step.name for step in plan.steps} else "is no step"
            wrong.append(f"{name}: {has}; gates: {', '.join(gates) or 'none in this plan'}")
            continue
        try:
            said[name] = _Said.model_validate(value)
        except ValidationError as error:
            wrong += (toml.problem(item, name) for item in error.errors())
    if wrong:
        raise Refused(
            f"{path}: {len(wrong)} answer(s) are not as expected",
            evidence="\n".join(wrong),
            todo=_FORM,
        )
    return Answers(path, said, otherwise)


_FORM = 'expected tables like [bind.retire] with answer = "yes" (or "no") and by = "who says so"'


_DEEPEST = 8  # tables within tables; no step's name has more dots


def _tables(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """[bind.retire] is to TOML a table in a table; so is the step's name put together again."""
    for key, value in data.items():
        name = f"{above}{key}"
        inner = isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())
        if inner and value and name.count(".") < _DEEPEST:
            yield from _tables(value, f"{name}.")
        else:
            yield name, value
