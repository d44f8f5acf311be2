"""The plan: the ordered steps of this run, worked out before anything happens."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, cast

from rollout.errors import Refused
from rollout.plan.step import Check, Step
from rollout.site import Site

_SUBJECTS = "steps"


class Subject(Protocol):
    """A module of `steps`: what must stand before it, and its steps for a site."""

    REQUIRES: tuple[str, ...]

    def steps(self, site: Site) -> tuple[Step, ...]: ...


@dataclass(frozen=True)
class Plan:
    """Steps in order; `hashes` chain over all that stands before a step."""

    site: Site
    steps: tuple[Step, ...]
    hashes: tuple[str, ...]

    def position(self, name: str) -> int:
        """Where a step stands, from 0. Raises Refused for a name that is not in the plan."""
        for position, step in enumerate(self.steps):
            if step.name == name:
                return position
        raise Refused(
            f"there is no step {name!r} in this plan",
            todo=f"expected one of: {', '.join(step.name for step in self.steps)}",
        )

    def directory(self, position: int) -> str:
        """The step's name in the journal: its number, from 1, and its name."""
        return f"{position + 1:03}-{self.steps[position].name}"

    def upto(self, name: str | None) -> int:
        """How many steps a run `--to name` comprises; all without a name."""
        return len(self.steps) if name is None else self.position(name) + 1

    def checks(self, done: int) -> Iterator[Check]:
        """The checks that must hold once the first `done` steps are done and no later one is."""
        names = [step.name for step in self.steps[:done]]
        for step in self.steps[:done]:
            for check in step.checks:
                if check.until is None or check.until not in names:
                    yield check


def make(site: Site) -> Plan:
    """Work out the plan of a site. Raises Refused when its order cannot be kept."""
    # Each is known before the first is built: preflight asks the others what they want to know.
    subjects = [_subject(site, name) for name in site.order]
    steps: list[Step] = []
    for position, (name, subject) in enumerate(zip(site.order, subjects, strict=True)):
        for needed in subject.REQUIRES:
            if needed not in site.order[:position]:
                raise Refused(
                    f"{site.path}: order: {name!r} needs {needed!r} before it",
                    evidence=f"order = {list(site.order)}",
                )
        steps += (
            replace(step, confirm_within=site.run.confirm_within) for step in subject.steps(site)
        )
    for step in steps:
        if not step.checks:
            raise Refused(f"step {step.name} has no check: nothing would show that it worked")
    hashes: list[str] = []
    for step in steps:
        hashes.append(step.chained(hashes[-1] if hashes else site.hash))
    return Plan(site, tuple(steps), tuple(hashes))


def _subject(site: Site, name: str) -> Subject:
    known = [
        module.name
        for module in pkgutil.iter_modules(importlib.import_module(_SUBJECTS).__path__)
        if hasattr(importlib.import_module(f"{_SUBJECTS}.{module.name}"), "REQUIRES")
    ]
    if name not in known or site.order.count(name) > 1:
        what = "named twice" if name in known else "unknown"
        raise Refused(
            f"{site.path}: order: {name!r} is {what}",
            evidence=f"order = {list(site.order)}",
            todo=f"expected each of these once at the most: {', '.join(known)}",
        )
    return cast(Subject, importlib.import_module(f"{_SUBJECTS}.{name}"))
