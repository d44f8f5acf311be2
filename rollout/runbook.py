"""The steps as a runbook: the same commands, to be typed by hand."""

from __future__ import annotations

from rollout import bundle
from rollout.bundle import Command
from rollout.plan import Plan
from rollout.step import Check, Step

_KEEP = "/root/cellblock-keep"


def pages(plan: Plan) -> dict[str, str]:
    """File name -> Markdown, a page a subject, in the plan's order.

    Written without a host: for one whose daemons run and that has nothing of ours yet.
    """
    found: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for position, step in enumerate(plan.steps):
        subject = step.name.partition(".")[0]
        number = numbers.setdefault(subject, len(numbers) + 1)
        name = f"{number:02}-{subject}.md"
        found.setdefault(name, f"# {subject}: runbook for {plan.site.name}\n")
        made = bundle.compile_step(position + 1, step, plan.hashes[position], None)
        found[name] += "\n" + _section(plan, step, made.commands)
    return found


def _section(plan: Plan, step: Step, commands: tuple[Command, ...]) -> str:
    notice = ", ".join(
        f"{name}: up to {s:g} s without an answer" for name, s in step.outage.items()
    )
    lines = [f"## {step.name}", "", step.why, "", f"What users notice: {notice or 'nothing'}.", ""]
    if step.gate:
        lines += [f"**Stop.** {step.gate.question} Look at:", ""]
        lines += [f"- {each}" for each in step.gate.look_at]
        lines += [f"- unless this holds: {_claim(each)}" for each in step.gate.unless] + [""]
    if commands:
        lines += ["Log in as root and start `/bin/sh`. Type, one after the other:", ""]
        lines += ["```sh", *_typed(step, commands), "```", ""]
    lines += ["Then see that this holds:", ""]
    lines += [f"- {_claim(check)}" for check in step.checks] + [""]
    if commands:
        lines += ["To go back, type, in this order:", ""]
        lines += ["```sh", *_back(step, commands), "```", ""]
    return "\n".join(lines)


def _typed(step: Step, commands: tuple[Command, ...]) -> list[str]:
    lines: list[str] = []
    for number, command in enumerate(commands, 1):
        lines += [f"# {number}. {command.says}"]
        if command.keep:
            keep = f"{_KEEP}/{step.name}/{number:03}"
            lines += [f"mkdir -p {keep}"]
            lines += [f"cp -p {file} {keep}/{n}" for n, file in enumerate(command.keep, 1)]
        lines += [command.do, ""]
    return lines[:-1]


def _back(step: Step, commands: tuple[Command, ...]) -> list[str]:
    lines: list[str] = []
    for number, command in reversed(list(enumerate(commands, 1))):
        if command.undo in (":", None):
            continue
        lines += [f"# {number}. take back: {command.says}"]
        if "$KEEP" in str(command.undo):
            lines += [f"KEEP={_KEEP}/{step.name}/{number:03}"]
        lines += [str(command.undo), ""]
    return lines[:-1]


def _claim(check: Check) -> str:
    file, _, function = check.test.partition("::")
    values = ", ".join(f"{name} {value}" for name, value in check.values)
    words = function.replace("_", " ")
    return f"{file} {words}" + (f" ({values})" if values else "")
