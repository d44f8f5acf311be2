"""A plan as text: one screen with what will happen, or every command."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from rollout.host.bundle import Bundle
from rollout.plan.step import NEEDS, Gate
from rollout.report import changes

Ahead = tuple[Bundle, Gate | None, Iterable[str]]
"""A step that is left, with its gate, and what its checks for the plan found on the host."""

OFFLINE = (
    "Made without a server: for one whose daemons run, and on which Cellblock has\n"
    "changed nothing yet. Without --offline it is made for your server as it is, and\n"
    "lists what the daemons need there."
)
"""The first lines of a plan that was made without a server."""

_WIDTH = 79
_DOES = 36  # columns, so that the table fits into 80


def data(ahead: Iterable[Ahead]) -> list[dict[str, Any]]:
    """The values for --json."""
    return [
        {
            "step": made.step.name,
            "why": made.step.why,
            "needs": _lines(_needs(found)),
            "found": _lines(_referring(found)),
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


def _needs(found: Iterable[str]) -> list[str]:
    return [each for each in found if each.startswith(NEEDS)]


def _referring(found: Iterable[str]) -> list[str]:
    return [each for each in found if not each.startswith(NEEDS)]


def _lines(found: Iterable[str]) -> list[str]:
    return [line.strip() for each in found for line in each.splitlines()]


def full(data: Iterable[Mapping[str, Any]]) -> str:
    """Every command, with its step and the reason. Commands are not wrapped, to be copied."""
    lines: list[str] = []
    for number, step in enumerate(data, 1):
        lines += _indented(f"{number}. {step['step']}: {step['why']}")
        outage = ", ".join(f"{name} up to {s:g} s" for name, s in step["expected_outage"].items())
        lines += [f"   expected outage: {outage or 'none'}"]
        if step["point_of_no_return"]:
            lines += ["   no way back: this step cannot be undone"]
        for row in step["needs"]:
            lines += [f"   {row}" if row.startswith(NEEDS) else f"      {row}"]
        if step["found"]:
            lines += ["   found on the host:", *(f"      {row}" for row in step["found"])]
        if step["gate"]:
            lines += [f"   gate: {step['gate']['question']}"]
            for each in step["gate"]["look_at"]:
                lines += [f"      {row}" for row in each.split("\n")]
        checks = dict.fromkeys(step["checks"])
        lines += _indented(f"   checked by: {', '.join(checks)}")
        for command in step["commands"]:
            lines += ["", f"   # {command['says']}"]
            lines += [f"   {row}" for row in command["do"].splitlines()]
        lines += [""]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent="   ", break_long_words=False, break_on_hyphens=False
    )


def short(ahead: Sequence[Ahead]) -> str:
    """One line per step: what it does, how many commands, who notices, gates; then the counts."""
    if not ahead:
        return "No step is left: all are confirmed."
    rows = [
        [
            made.step.name,
            _fitted(made.step.does or made.step.why),
            len(made.commands) or "",
            ", ".join(f"{name} {limit:g} s" for name, limit in made.step.outage.items()) or "-",
            "gate" if gate else "",
        ]
        for made, gate, _ in ahead
    ]
    commands = [command for made, _, _ in ahead for command in made.commands]
    return "\n".join(
        [
            tabulate(rows, ["step", "what it does", "cmds", "down", ""]),
            "",
            *_moment(ahead),
            *textwrap.wrap(f"Users notice: {_noticed(ahead)}. {_stops(ahead)}", _WIDTH),
            *textwrap.wrap(_more(ahead), _WIDTH),
            *textwrap.wrap(_counted(ahead), _WIDTH),
            "",
            changes.text(changes.count(commands)),
        ]
    )


def _moment(ahead: Iterable[Ahead]) -> list[str]:
    """What a step without commands finds: something to know before the first one runs."""
    first = [found for made, _, found in ahead if not made.step.operations]
    told = [each for found in first for each in _referring(found)]
    return [row for each in told for row in _indented(f"Before you begin: {each}")]


def _fitted(text: str) -> str:
    return text if len(text) <= _DOES else f"{text[: _DOES - 3]}..."


def _noticed(ahead: Sequence[Ahead]) -> str:
    down = [
        f"{service} is down for {limit:g} s at most, in {made.step.name}"
        for made, _, _ in ahead
        for service, limit in made.step.outage.items()
    ]
    return "; ".join(down) if down else "nothing; no outage is expected"


def _stops(ahead: Sequence[Ahead]) -> str:
    gates = [made.step.name for made, gate, _ in ahead if gate]
    final = [made.step.name for made, _, _ in ahead if made.step.point_of_no_return]
    sentences = [f"Gates, where apply asks you first: {', '.join(gates)}."] if gates else []
    sentences += [f"No way back after: {', '.join(final)}."] if final else []
    return " ".join(sentences)


def _more(ahead: Sequence[Ahead]) -> str:
    """How to see the rest."""
    acting = [(made.step.name, found) for made, _, found in ahead if made.step.operations]
    found = [name for name, found in acting if _referring(found)]
    more = f" Other files on the host refer to what moves: see plan {', plan '.join(found)}."
    commands = "cellblock plan STEP shows a step's commands, plan --full those of all steps."
    return commands + (more if found else "")


def _counted(ahead: Sequence[Ahead]) -> str:
    """How many needs each service has, and what becomes of them."""
    heads = [
        (made.step.name, each.splitlines()[0].removeprefix(NEEDS).strip())
        for made, _, found in ahead
        for each in _needs(found)
    ]
    if not heads:
        return ""
    steps = ", plan ".join(dict.fromkeys(name for name, _ in heads))
    return f"What daemons need: {'; '.join(head for _, head in heads)}. See plan {steps}."
