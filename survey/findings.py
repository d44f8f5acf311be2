"""Collects what the checks, gates and plan of a draft say of its host: the assessment's findings.

Nothing is found here that a check, a gate or the draft has not said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from rollout.engine import checks
from rollout.engine.checks import Outside, Verdict
from rollout.host.session import Session
from rollout.plan import Plan
from rollout.plan.step import Check, Gate, Step
from rollout.runbook.manual_checks import manual_lines
from rollout.site import Site
from survey import assessment, reference
from survey.assessment import Finding, Severity
from survey.draft import Draft, Obstacle
from survey.text import ordered

DRAFTS = "docs/commands.md#survey"
GATES = "docs/steps.md#the-gates"


def looked(
    made: Plan, session: Session, outside: Outside, more: Iterable[Check] = ()
) -> dict[Check, Verdict]:
    """Run what a plan asks besides the checks of `check`: for gates, and for what it lists."""
    asked = (each for step in made.steps for each in _asked(step))
    wanted = list(dict.fromkeys((*more, *asked)))
    return by_check(wanted, checks.run(wanted, session, made.site, outside))


def by_check(asked: Iterable[Check], verdicts: Iterable[Verdict]) -> dict[Check, Verdict]:
    """Each check with its verdict. One that is `first` and fails stands for all."""
    by_name = {each.name: each for each in verdicts}
    return {each: by_name[name] for each in asked if (name := checks.named(each)) in by_name}


def _asked(step: Step) -> tuple[Check, ...]:
    return (*(step.gate.unless if step.gate else ()), *step.finds)


def collected(draft: Draft, made: Plan, found: dict[Check, Verdict]) -> tuple[Finding, ...]:
    """All findings, in the order of the plan."""
    return (
        *(_of_obstacle(each, draft, made) for each in draft.obstacles),
        *_unseen(draft),
        *_moves(made),
        *(each for step in made.steps for each in _of_step(step, made.site, found)),
        *_questions(draft),
        *_strangers(draft),
    )


def _of_obstacle(obstacle: Obstacle, draft: Draft, made: Plan) -> Finding:
    service = obstacle.service
    stays = f'then add "{service}" to `order`: until then it stays on the host' if service else ""
    if service and not made.site.built:
        stays = "then survey the host again"
    if isinstance(obstacle.by, str):
        step = next((each for each in made.steps if each.name == obstacle.by), None)
        return Finding(
            f"step.{obstacle.by}",
            "stops",
            step.why if step else "A step of the plan refuses this host before anything begins.",
            obstacle.message,
            "docs/steps.md",
            about=obstacle.service,
            todo=stays,
        )
    return _of_check(
        obstacle.by, "stops", obstacle.message, made.site, about=obstacle.service, then=stays
    )


def _of_check(
    check: Check, severity: Severity, message: str, site: Site, *, about: str = "", then: str = ""
) -> Finding:
    here, todo = assessment.split(message)
    values = dict(check.values)
    return Finding(
        reference.stable_id(check.test),
        severity,
        reference.why(check.test),
        here,
        reference.link(check.test),
        about=about or str(values.get("service") or values.get("jail") or ""),
        todo="\n".join(filter(None, (todo, then))),
        look=tuple(each.line for each in manual_lines(check, site)),
    )


def _of_step(step: Step, site: Site, found: dict[Check, Verdict]) -> Iterator[Finding]:
    """Of what it lists, and of its gate: what is asked for certain, or what was found for it."""
    missed = {check: each for check, each in found.items() if not each.passed}
    for check in step.finds:
        if check in missed:
            severity: Severity = "for information" if step.operations else "look at it"
            yield _of_check(check, severity, missed[check].message, site)
    gate = step.gate
    if gate is None or asked(step, found) is None:
        return
    for check in gate.unless:
        if check in missed:
            yield _of_check(check, "look at it", missed[check].message, site, about=step.name)
    back = " There is no way back after this step." if step.point_of_no_return else ""
    yield Finding(
        f"gate.{step.name}",
        "for information",
        f"{step.why}{back}",
        f"apply asks before {step.name}: {gate.question}\n" + "\n".join(gate.look_at),
        GATES,
        about=step.name.partition(".")[0],
        todo="answer it when apply asks, or in answers.toml (apply --answers)",
    )


def asked(step: Step, found: Mapping[Check, Verdict]) -> Gate | None:
    """The step's gate, with what was found for it; None where nobody has to be asked."""
    gate = step.gate
    if gate is None or not gate.unless:
        return gate
    missed = [found[each] for each in gate.unless if each in found and not found[each].passed]
    said = tuple(each.message for each in missed)
    return replace(gate, look_at=(*gate.look_at, *said)) if missed else None


def _questions(draft: Draft) -> Iterator[Finding]:
    for number, each in ordered(draft):
        yield Finding(
            f"question.{each.table}.{each.key}".replace("..", "."),
            "look at it",
            each.why,
            f"question {number} of site.toml: {each.what}",
            DRAFTS,
            about=each.table,
            todo="\n".join(("decide it in the site file", *each.lines)),
        )


def _moves(made: Plan) -> Iterator[Finding]:
    """How each service moves: with a gap that its steps declare, or by overlap."""
    site = made.site
    gaps = {
        service: (step, seconds) for step in made.steps for service, seconds in step.outage.items()
    }
    for jail in site.built:
        for service in site.jails[jail].services:
            if service in gaps:
                step, seconds = gaps[service]
                here = f"handed over in {step.name}: no answer for {seconds:g} s at most"
            else:
                here = "by overlap: the jail's daemon answers before the host's stops; no gap"
            yield Finding(
                "moves",
                "for information",
                "Users should know what they will notice.",
                f"{service} moves into jail {jail}, {here}",
                "docs/steps.md",
                about=service,
            )


def _strangers(draft: Draft) -> Iterator[Finding]:
    for each in draft.strangers:
        yield Finding(
            "stays",
            "for information",
            "What is not described in the site file stays on the host as it is.",
            f"{each.daemon}, at {', '.join(each.listens)}: {each.why}",
            DRAFTS,
            about=each.daemon,
        )


def _unseen(draft: Draft) -> Iterator[Finding]:
    for each in draft.unseen:
        yield Finding(
            "unseen",
            "look at it",
            "What could not be read is told, and never assumed.",
            each,
            DRAFTS,
        )


def of_secrets(words: Iterable[str]) -> tuple[Finding, ...]:
    """Which secrets a survey names in place of having them."""
    names = list(dict.fromkeys(words))
    if not names:
        return ()
    return (
        Finding(
            "secrets",
            "for information",
            "A survey may be sent to others, so secrets are named in it, and not copied.",
            f"left out of survey.json: {', '.join(names)}",
            DRAFTS,
        ),
    )
