"""A run for the tests of the terminal: the events that the runner would send for one step."""

from __future__ import annotations

from typing import Any

from rollout.engine.listener import Listener, Result
from rollout.plan.step import Gate, Step

STEP = Step("mysql.cutover", "Because.", (), (), confirm_within=120)
GATE = Gate("Go on?", ("the log", "the paper"))
RESULTS: list[dict[str, Any]] = [
    {
        "step": STEP.name,
        "outcome": "confirmed",
        "commands": 2,
        "checks": {"passed": 3, "asked": 3},
        "outage": {"mysql": {"verdict": "outage", "seconds": 0.4, "limit": 15.0}},
        "channels": 1,
        "round_trips": 9,
        "seconds": 4.0,
    }
]


SUMMARY = "mysql was down for 0.40 s (limit 15 s)."


def result(outcome: str = "confirmed", reason: str = "") -> Result:
    return Result(STEP.name, outcome, 2, (), 1, 9, 0.0, 4.0, reason)


def logged(text: str) -> str:
    """A line of the host's log."""
    return f"2026-11-24T02:45:32Z 012-{STEP.name}: {text}"


def replay(to: Listener) -> None:
    """The events of one step from its gate to its end."""
    to.act("apply")
    to.gate(STEP, GATE)
    to.step(STEP, "running 2 commands", 2)
    to.line(logged("applying"))
    to.line("001 stop [the] host's mysql-server")
    to.line("Stopping mysql.")
    to.line("002 start the jail's")
    to.line(logged("applied"))
    to.line("state applied")
    to.checking(STEP.name, 3, 118)
    to.result(result())
    to.note("all is well")
    to.ended(RESULTS, SUMMARY)
