"""The steps as a runbook: the same commands, to be typed by hand; Markdown, or HTML to tick."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from pyinfra.api.facts import FactBase

from operations.command import Look
from rollout.host import bundle
from rollout.host.bundle import Command
from rollout.host.session import asked
from rollout.plan import Plan
from rollout.plan.step import Check, Step
from rollout.runbook.manual_checks import looks

SHELL = "env LC_ALL=C /bin/sh +E"
"""What a page is typed into: it takes a line as it is pasted, and programs answer in English."""

_KEEP = "/root/cellblock-keep"
_CODE = re.compile(r"`([^`]+)`")
_WHERE = {"host": "", "elsewhere": "on another machine: ", "meanwhile": "meanwhile, on the host: "}
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=select_autoescape(enabled_extensions=("html.j2",)),
)


def _code(text: str) -> Markup:
    """Text with `code` in it, as HTML."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 # escaped before


_ENVIRONMENT.filters["code"] = _code


@dataclass(frozen=True)
class Line:
    """Something to type. `sees` is what it prints then; None where nobody can say."""

    title: str
    text: str
    sees: str | None = None


@dataclass(frozen=True)
class Section:
    """A step, for a person with a shell."""

    step: Step
    notice: str
    before: tuple[str, ...]
    assumed: tuple[Line, ...]
    unless: tuple[Line, ...]
    typed: tuple[Line, ...]
    checks: tuple[Line, ...]
    back: tuple[Line, ...]
    tell: tuple[str, ...]


def pages(plan: Plan, kind: str = "md") -> dict[str, str]:
    """File name -> text, a page a subject, in the plan's order. `kind` is "md" or "html".

    Written without a host: for one whose daemons run and that has nothing of ours yet.
    """
    sections = groupby(_sections(plan), key=lambda each: each.step.name.partition(".")[0])
    template = _ENVIRONMENT.get_template(f"runbook.{kind}.j2")
    found: dict[str, list[Section]] = {}
    for subject, them in sections:
        found.setdefault(subject, []).extend(them)
    return {
        f"{number:02}-{subject}.{kind}": template.render(
            subject=subject, site=plan.site, sections=them, identity=_identity(them)
        )
        for number, (subject, them) in enumerate(found.items(), 1)
    }


def _identity(sections: list[Section]) -> str:
    """Ticks are kept for this text; those of another one do not fit it."""
    return sha256(repr(sections).encode()).hexdigest()[:12]


def _sections(plan: Plan) -> Iterator[Section]:
    done = ""
    for position, step in enumerate(plan.steps):
        commands = bundle.compile_step(position + 1, step, plan.hashes[position], None).commands
        notice = [f"{name}: up to {s:g} s without an answer" for name, s in step.outage.items()]
        yield Section(
            step,
            ", ".join(notice) or "nothing",
            tuple(_before(step, done)),
            tuple(_assumed(step)),
            tuple(_looked(plan, step.gate.unless)) if step.gate else (),
            tuple(_typed(step, commands)),
            tuple(_looked(plan, step.checks)),
            tuple(_back(step, commands)),
            tuple(_tell(plan, step)),
        )
        done = step.name if step.operations else done


def _before(step: Step, done: str) -> Iterator[str]:
    if done:
        yield f"{done} is done, and what it asks holds."
    if step.operations:
        yield (
            f"You are root on the server, in `{SHELL}` (which takes a line as it is pasted, and "
            "answers in English), and a second login is open, for the way back."
        )
    if step.outage:
        yield "It is an hour at which the gap below may be, and who has to know was told."


def _assumed(step: Step) -> Iterator[Line]:
    """What the page takes for so, since it was written without the host."""
    with asked(None) as host:
        for used in step.operations:
            list(used.commands())
    seen: set[str] = set()
    for fact, arguments in host.asked:
        look = _assumption(fact, arguments)
        if look is not None and look.line not in seen:
            seen.add(look.line)
            yield Line("must be so", look.line, look.sees)


def _assumption(fact: type[FactBase[Any]], arguments: dict[str, Any]) -> Look | None:
    assumed = getattr(fact, "assumed", None)
    return assumed(**arguments) if assumed else None


def _looked(plan: Plan, wanted: tuple[Check, ...]) -> Iterator[Line]:
    for check in wanted:
        for look in looks(check, plan.site):
            yield Line(f"{_WHERE[look.where]}{_claim(check)}", look.line, look.sees)


def _typed(step: Step, commands: tuple[Command, ...]) -> Iterator[Line]:
    for number, command in enumerate(commands, 1):
        lines = []
        keep = _kept(step, number)
        if command.kept:
            lines.append(f"(umask 077 && mkdir -p {keep})")
            lines += [
                f"if [ -e {file} ] && [ ! -e {keep}/{n} ]; then cp -p {file} {keep}/{n}; fi"
                for n, file in enumerate(command.keep, 1)
            ]
        lines += _keep_at(command.do, keep)
        yield Line(f"{number}. {command.says}", "\n".join([*lines, command.do]), command.sees)


def _back(step: Step, commands: tuple[Command, ...]) -> Iterator[Line]:
    for number, command in reversed(list(enumerate(commands, 1))):
        if command.undo is None or command.undo == ":":
            continue
        keep = _keep_at(command.undo, _kept(step, number))
        title = f"{number}. undo: {command.says}"
        yield Line(title, "\n".join([*keep, command.undo]))
    if any(command.kept for command in commands):
        # Or the before-images would be taken for those of the next time.
        yield Line("the before-images are not wanted any more", f"rm -rf {_KEEP}/{step.name}")


def _keep_at(text: str, keep: str) -> list[str]:
    return [f"KEEP={keep}"] if "$KEEP" in text else []


def _kept(step: Step, number: int) -> str:
    return f"{_KEEP}/{step.name}/{number:03}"


def _tell(plan: Plan, step: Step) -> Iterator[str]:
    for name in step.outage:
        yield f"the users of {name}, before: {step.outage[name]:g} s without an answer at the most"
    yield from step.tell
    if step.operations:
        others = ", ".join(plan.site.run.tell) or "who else is root on the server"
        yield f"{others}: that it begins, and that it is over"


def _claim(check: Check) -> str:
    file, _, function = check.test.partition("::")
    values = ", ".join(f"{name} {value}" for name, value in check.values)
    words = function.replace("_", " ")
    return f"{file} {words}" + (f" ({values})" if values else "")
