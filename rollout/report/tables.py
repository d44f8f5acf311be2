"""The results of a run, as tables for people and as values for --json."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from tabulate import tabulate

from rollout.engine.checks import Verdict
from rollout.engine.listener import Result
from rollout.probe.outage import Timeline

OUTCOMES = {
    "confirmed": "confirmed",
    "undone": "undone",
    "rolledback": "rolled back",
    "stuck": "stuck",
    "waiting": "waiting",
    "unreachable": "unreachable",
    "refused": "refused",
    "locked": "locked",
    "interrupted": "interrupted",
}
"""A step's outcome, as in --json -> in words."""

_OUTAGE = 25  # columns, so that a table fits into 80


def results_data(
    results: Iterable[Result],
    timelines: Mapping[str, Timeline],
    limits: Mapping[str, Mapping[str, float]],
) -> list[dict[str, Any]]:
    """`limits` is step -> service -> the seconds without an answer that the step may cause."""
    return [
        {
            "step": result.step,
            "outcome": result.outcome,
            "commands": result.commands,
            "checks": {"passed": result.passed, "asked": len(result.checks)},
            "outage": {
                service: {
                    "verdict": (window := timeline.window(result.began, result.ended)).verdict,
                    "seconds": None if window.seconds is None else round(window.seconds, 3),
                    "limit": limits.get(result.step, {}).get(service.partition(" ")[0], 0.0),
                }
                for service, timeline in timelines.items()
            },
            "channels": result.channels,
            "round_trips": result.trips,
            "seconds": round(result.ended - result.began, 2),
        }
        for result in results
    ]


def results_table(data: Iterable[dict[str, Any]], *, cost: bool = False) -> str:
    """`cost`: with the connections and round trips that each step took."""
    rows = [
        [
            each["step"],
            OUTCOMES[each["outcome"]],
            each["commands"] or "",
            f"{each['checks']['passed']}/{each['checks']['asked']}"
            if each["checks"]["asked"]
            else "",
            textwrap.fill(_outages(each["outage"]), _OUTAGE, break_long_words=False),
            *([each["channels"], each["round_trips"]] if cost else []),
            f"{each['seconds']:.1f} s",
        ]
        for each in data
    ]
    headers = ["step", "result", "cmds", "checks", "outage"]
    headers += ["channels", "round trips"] if cost else []
    return tabulate(rows, [*headers, "time"])


def _outages(outages: Mapping[str, Mapping[str, Any]]) -> str:
    parts = []
    for service, window in outages.items():
        if window["verdict"] == "outage":
            limit = f"limit {window['limit']:g} s" if window["limit"] else "not expected"
            parts.append(f"{service} {window['seconds']:.2f} s ({limit})")
        elif window["verdict"] != "no outage":
            parts.append(f"{service}: {_UNSURE[window['verdict']]}")
    return ", ".join(parts) or ("none" if outages else "not watched")


_UNSURE = {"not watched": "not watched", "thin": "hardly watched"}


def verdicts_table(verdicts: Iterable[Verdict]) -> str:
    rows = [[each.name, _outcome(each), each.message] for each in verdicts]
    return tabulate(rows, ["check", "", "found"])


def _outcome(verdict: Verdict) -> str:
    if verdict.passed:
        return "ok"
    return "FAILED" if verdict.answered else "no answer"
