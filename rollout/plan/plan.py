"""The plan: the ordered steps of a run, made before anything happens."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, cast

from rollout.errors import Refused
from rollout.plan.step import Check, Step
from rollout.site import Site

_SUBJECTS = "steps"


class Subject(Protocol):
    """A module of `steps`: the subjects that must come before it, and its steps for a site."""

    REQUIRES: tuple[str, ...]

    def steps(self, site: Site) -> tuple[Step, ...]: ...


@dataclass(frozen=True)
class Plan:
    """Steps in order."""

    site: Site
    steps: tuple[Step, ...]

    def position(self, name: str) -> int:
        """The index of a step, from 0. Raises Refused for a name that is not in the plan."""
        for position, step in enumerate(self.steps):
            if step.name == name:
                return position
        names = [step.name for step in self.steps]
        close = [each for each in names if name and name in each]
        close = close or difflib.get_close_matches(name, names, n=1)
        raise Refused(
            f"there is no step {name!r} in this plan"
            + (f"; did you mean {' or '.join(close)}?" if close else ""),
            todo=f"expected one of: {', '.join(names)}",
        )

    def directory(self, position: int) -> str:
        """The step's name in the journal: its number, from 1, and its name."""
        return f"{position + 1:03}-{self.steps[position].name}"

    def upto(self, name: str | None) -> int:
        """The number of steps that a run `--to name` has; all steps without a name."""
        return len(self.steps) if name is None else self.position(name) + 1

    def reached(self, done: Container[str]) -> int:
        """The number of steps, from the first, that are done.

        One without operations has no entry in a journal: it is done once all before it are.
        """
        for position, step in enumerate(self.steps):
            if step.operations and step.name not in done:
                return position
        return len(self.steps)

    def checks(self, done: int, *, back: bool = False) -> Iterator[Check]:
        """The checks that must hold when the first `done` steps are done and no later one is.

        On the way `back`, those that look ahead are left out.
        """
        names = [step.name for step in self.steps[:done]]
        for step in self.steps[:done]:
            for check in step.checks:
                if (check.until is None or check.until not in names) and not (back and check.ahead):
                    yield check


def make(site: Site) -> Plan:
    """Make the plan of a site. Raises Refused when its order is not possible."""
    # First all subjects, then their steps: preflight has checks of the others.
    subjects = _subjects(site)
    steps = [
        replace(step, confirm_within=site.run.confirm_within)
        for subject in subjects.values()
        for step in subject.steps(site)
    ]
    for step in steps:
        if not step.checks:
            raise Refused(f"step {step.name} has no check: nothing would show that it worked")
    return Plan(site, tuple(steps))


def _subjects(site: Site) -> dict[str, Subject]:
    """The subjects of the order. Raises Refused with all problems of the order at once."""
    known = _known(site)
    problems = [
        f"{name!r} is {'named twice' if name in known else _unknown(site, name)}"
        for name, count in Counter(site.order).items()
        if name not in known or count > 1
    ]
    if problems:
        raise _order(
            site, problems, f"expected each of these at most once: {', '.join(sorted(known))}"
        )
    for position, name in enumerate(site.order):
        needed = _needed(name, known)
        if late := [each for each in needed if each not in site.order[:position]]:
            problems.append(f"{name!r} needs {', '.join(map(repr, late))} before it")
    if problems:
        named = dict.fromkeys(each for name in site.order for each in _needed(name, known))
        missing = [each for each in named if each not in site.order]
        todo = f"add what is missing: {', '.join(missing)}" if missing else "change their order"
        raise _order(site, problems, todo)
    return {name: known[name] for name in site.order}


def _order(site: Site, problems: list[str], todo: str) -> Refused:
    return Refused(
        f"{site.path}: order: {'; '.join(problems)}",
        evidence=site.order_line,
        todo=todo,
    )


def _needed(name: str, known: Mapping[str, Subject]) -> list[str]:
    """The subjects that must come before a subject, in the required order."""
    found: list[str] = []
    for each in known[name].REQUIRES:
        found += [*_needed(each, known), each]
    return list(dict.fromkeys(found))


def _unknown(site: Site, name: str) -> str:
    described = f"; give services.{name} a move, by which Cellblock can move any daemon"
    return f"unknown{described if name in site.services else ''}"


def _known(site: Site) -> dict[str, Subject]:
    """A module each, and what a module has for this site besides (`subjects`)."""
    modules = {
        module.name: importlib.import_module(f"{_SUBJECTS}.{module.name}")
        for module in pkgutil.iter_modules(importlib.import_module(_SUBJECTS).__path__)
    }
    known = {
        name: cast(Subject, module)
        for name, module in modules.items()
        if hasattr(module, "REQUIRES")
    }
    for module in modules.values():
        more: dict[str, Subject] = module.subjects(site) if hasattr(module, "subjects") else {}
        if both := sorted(set(known) & set(more)):
            raise Refused(
                f"{site.path}: services.{both[0]}.move: Cellblock knows how {both[0]!r} moves",
                todo="remove the line, or give a daemon of another kind another name",
            )
        known |= more
    return known
