"""The state of each step, from the journal on the host, and the next command to type."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from tabulate import tabulate

from rollout.host.journal import Entry, Journal, differing, in_words
from rollout.plan import Plan
from rollout.plan.step import Step
from rollout.site import JOURNAL

STATES = {
    "not begun": "nothing of it was done",
    "checks only": "it has no commands; it checks that the host fits",
    "prepared": "its commands are on the host, and none has run",
    "applying": "its commands are running on the host",
    "applied": "its commands ran; the host undoes it unless apply confirms it in time",
    "confirmed": "it is done and checked, and stays",
    "undoing": "the host is undoing it",
    "undone": "it was undone, and the host is as before it",
    "stuck": "its undo did not succeed: manual repair is needed",
}
"""What each state means."""

_WIDTH = 79
_REMARK = 50  # columns, so that the table fits into 80


def data(plan: Plan, journal: Journal) -> dict[str, Any]:
    """The values for --json; `next` is the command to type now."""
    return {
        "site": journal.site or None,
        "summary": _summary(plan, journal),
        "next": _next(plan, journal),
        "steps": [
            {
                "step": step.name,
                "state": _state(step, journal),
                "note": _note(entry) if (entry := journal.entry(step.name)) else "",
                "answer": (entry.said if entry else "") or None,
                "by_hand": (entry.hand if entry else "") or None,
            }
            for step in plan.steps
        ],
        "lock": journal.lock or None,
        "abandoned_lock": journal.abandoned or None,
    }


def stuck(journal: Journal) -> bool:
    return any(entry.state == "stuck" for entry in journal.entries)


def _summary(plan: Plan, journal: Journal) -> str:
    """The state of the host in sentences; what needs action comes first."""
    sentences = [each for entry in reversed(journal.entries) if (each := _sentence(entry))]
    total = sum(bool(step.operations) for step in plan.steps)
    done = len(journal.done)
    if not journal.entries:
        sentences.append("No step was ever begun on this host.")
    elif done == total:
        sentences.append(f"All {total} steps are confirmed.")
    else:
        sentences.append(f"{done} of {total} steps are confirmed.")
    if others := [entry.name for entry in differing(journal, plan)]:
        sentences.append(f"Not as {plan.site.path} has them now: {', '.join(others)}.")
    if journal.lock:
        sentences.append(f"Another run is active: {journal.lock}.")
    if journal.abandoned:
        sentences.append(f"The last run ended unexpectedly: {journal.abandoned}.")
    return " ".join(sentences)


def _sentence(entry: Entry) -> str:
    """A sentence on a step that is neither confirmed nor regularly undone; else ""."""
    because = f": {entry.stuck or in_words(entry.reason)}" if entry.stuck or entry.reason else ""
    if entry.being_typed:
        return f"{entry.name} was interrupted during manual entry."
    if entry.state == "undone" and entry.reason and entry.reason != "rollback":
        return f"{entry.name} failed and was undone{because}."
    sentences = {
        "stuck": f"{entry.name} is stuck{because}. Manual repair is needed.",
        "applying": f"{entry.name} is running on the host.",
        "applied": f"{entry.name} is applied and not confirmed: automatic rollback in "
        f"{entry.left} s.",
        "undoing": f"{entry.name} is being undone{because}.",
    }
    return sentences.get(entry.state, "")


def _next(plan: Plan, journal: Journal) -> str:
    """The command to type now."""
    return next(_advice(plan, journal))


def _advice(plan: Plan, journal: Journal) -> Iterator[str]:
    """What to type, the most urgent first; the first one counts."""
    site = "" if plan.site.path == Path("site.toml") else f" --site {quote(str(plan.site.path))}"
    states = {("typed" if entry.being_typed else entry.state): entry for entry in journal.entries}
    if entry := states.get("stuck"):
        there = f"{JOURNAL}/steps/{entry.directory}"
        yield (
            f"on the host, read {there}/log and {there}/differences and repair what they name; "
            f"then cellblock rollback{journal.keeping(entry)}{site}"
        )
    if journal.lock:
        yield f"wait for that run; then cellblock status{site}"
    if entry := states.get("typed"):
        back = f"cellblock rollback{journal.keeping(entry)}{site}"
        yield f"cellblock apply --by-hand{site} to go on, or {back}"
    if "applying" in states or "undoing" in states:
        yield f"wait; then cellblock status{site}"
    if "applied" in states:
        yield f"cellblock apply{site}, which checks and confirms it"
    if others := differing(journal, plan):
        back = f"cellblock rollback{journal.keeping(others[0])}{site}"
        yield f"use the site file of that run; or {back}, then cellblock apply{site}"
    if failed := _failed(journal):
        log = f"{JOURNAL}/steps/{failed.directory}/log"
        yield (
            f"read {log} on the host and cellblock plan {failed.name}{site}, mend the cause; "
            f"then cellblock apply{site}"
        )
    if len(journal.done) == sum(bool(step.operations) for step in plan.steps):
        yield f"nothing has to be done; cellblock verify{site} runs all checks again"
    yield f"cellblock plan{site}, which changes nothing; then cellblock apply{site}"


def _failed(journal: Journal) -> Entry | None:
    """The step that failed and was undone, unless something was rolled back since."""
    undone = (entry for entry in journal.entries if entry.state == "undone")
    return next((entry for entry in undone if entry.reason not in ("", "rollback")), None)


def _note(entry: Entry) -> str:
    return (
        entry.stuck
        or in_words(entry.reason)
        or ("interrupted during manual entry" if entry.being_typed else "")
    )


def _remarks(step: Mapping[str, Any]) -> str:
    """The note on a step, who typed it, and who said yes at its gate."""
    hand = step["by_hand"] and f"by hand: {step['by_hand']}"
    return "; ".join(each for each in (step["note"], hand, step["answer"]) if each)


def _state(step: Step, journal: Journal) -> str:
    if entry := journal.entry(step.name):
        return entry.state
    return "not begun" if step.operations else "checks only"


def text(data: Mapping[str, Any]) -> str:
    rows = [
        [each["step"], each["state"], textwrap.fill(_remarks(each), _REMARK)]
        for each in data["steps"]
    ]
    states = {each["state"] for each in data["steps"]}
    return "\n".join(
        [
            *textwrap.wrap(data["summary"], _WIDTH),
            "",
            tabulate(rows, ["step", "state", ""]),
            "",
            *(f"{state}: {means}" for state, means in STATES.items() if state in states),
            "",
            *textwrap.wrap(
                f"Next: {data['next']}", _WIDTH, break_long_words=False, break_on_hyphens=False
            ),
        ]
    )
