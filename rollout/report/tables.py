"""What a run comes to, as tables for people and as values for --json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tabulate import tabulate

from rollout.engine.checks import Verdict
from rollout.engine.listener import Result
from rollout.host.bundle import Bundle
from rollout.host.journal import Entry, Journal
from rollout.plan import Plan
from rollout.plan.step import Gate, Step
from rollout.probe.outage import Timeline


def results_data(
    results: Iterable[Result], timelines: Mapping[str, Timeline]
) -> list[dict[str, Any]]:
    return [
        {
            "step": result.step,
            "outcome": result.outcome,
            "commands": result.commands,
            "checks": {"passed": result.passed, "asked": len(result.checks)},
            "outage": {
                service: {
                    "verdict": (window := timeline.window(result.began, result.ended)).verdict,
                    "seconds": round(window.outage, 3),
                }
                for service, timeline in timelines.items()
            },
            "channels": result.channels,
            "round_trips": result.trips,
            "seconds": round(result.ended - result.began, 2),
        }
        for result in results
    ]


def results_table(data: Iterable[dict[str, Any]]) -> str:
    rows = [
        [
            each["step"],
            each["outcome"],
            each["commands"] or "",
            f"{each['checks']['passed']}/{each['checks']['asked']}",
            _outages(each["outage"]),
            each["channels"],
            each["round_trips"],
            f"{each['seconds']:.1f} s",
        ]
        for each in data
    ]
    headers = ["step", "result", "commands", "checks", "outage", "channels", "round trips", "time"]
    return tabulate(rows, headers)


def _outages(outages: Mapping[str, Mapping[str, Any]]) -> str:
    told = []
    for service, window in outages.items():
        if window["verdict"] == "outage":
            told.append(f"{service} {window['seconds']:.2f} s")
        elif window["verdict"] != "no outage":
            told.append(f"{service}: {window['verdict']}")
    return ", ".join(told) or ("none" if outages else "not watched")


def plan_data(
    ahead: Iterable[tuple[Bundle, Gate | None, Iterable[str]]],
) -> list[dict[str, Any]]:
    """`ahead`: each step with its gate, and what was found on the host beside it."""
    return [
        {
            "step": made.step.name,
            "why": made.step.why,
            "found": [line.strip() for each in found for line in each.splitlines()],
            "gate": {"question": gate.question, "look_at": gate.look_at} if gate else None,
            "expected_outage": dict(made.step.outage),
            "point_of_no_return": made.step.point_of_no_return,
            "checks": [check.test for check in made.step.checks],
            "commands": [
                {"says": each.says, "do": each.do, "undo": each.undo} for each in made.commands
            ],
        }
        for made, gate, found in ahead
    ]


def plan_text(data: Iterable[dict[str, Any]]) -> str:
    lines: list[str] = []
    for number, step in enumerate(data, 1):
        lines += [f"{number}. {step['step']}: {step['why']}"]
        outage = ", ".join(f"{name} up to {s:g} s" for name, s in step["expected_outage"].items())
        lines += [f"   expected outage: {outage or 'none'}"]
        if step["found"]:
            lines += ["   found on the host:", *(f"      {row}" for row in step["found"])]
        if step["gate"]:
            lines += [f"   gate: {step['gate']['question']}"]
            for each in step["gate"]["look_at"]:
                lines += [f"      {row}" for row in each.split("\n")]
        lines += [f"   checked by: {', '.join(step['checks'])}"]
        for command in step["commands"]:
            lines += ["", f"   # {command['says']}"]
            lines += [f"   {row}" for row in command["do"].splitlines()]
        lines += [""]
    return "\n".join(lines)


def verdicts_table(verdicts: Iterable[Verdict]) -> str:
    rows = [[each.name, "ok" if each.passed else "FAILED", each.message] for each in verdicts]
    return tabulate(rows, ["check", "", "found"])


def status_data(plan: Plan, journal: Journal) -> dict[str, Any]:
    return {
        "site": journal.site or None,
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


def _note(entry: Entry) -> str:
    return entry.stuck or entry.reason or ("left while it was typed" if entry.being_typed else "")


def _remarks(told: Mapping[str, Any]) -> str:
    """What went on, who typed it, who said yes at its gate."""
    hand = told["by_hand"] and f"by hand: {told['by_hand']}"
    return "; ".join(each for each in (told["note"], hand, told["answer"]) if each)


def _state(step: Step, journal: Journal) -> str:
    if entry := journal.entry(step.name):
        return entry.state
    return "not begun" if step.operations else "asks only"


def status_table(data: Mapping[str, Any]) -> str:
    rows = [[each["step"], each["state"], _remarks(each)] for each in data["steps"]]
    lines = [tabulate(rows, ["step", "state", ""])]
    if data["lock"]:
        lines.append(f"a rollout is under way: {data['lock']}")
    if data["abandoned_lock"]:
        lines.append(f"a rollout ended without a word: {data['abandoned_lock']}")
    return "\n".join(lines)
