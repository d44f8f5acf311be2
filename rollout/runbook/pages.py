"""The steps as a runbook, with the same commands to type: Markdown, or HTML with checkboxes."""

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

from operations import companion
from operations.command import Look
from rollout.host import bundle
from rollout.host.bundle import Command
from rollout.host.session import facts_from
from rollout.plan import Plan
from rollout.plan.step import Check, Step, Use
from rollout.runbook.folding import folded
from rollout.runbook.manual_checks import manual_lines

SHELL = "env LC_ALL=C /bin/sh +E"
"""The shell for the commands: it takes pasted lines as they are, and programs answer in English."""

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


def _parts(text: str) -> Markup:
    """A command as HTML: a page shows the parts of a long line one below the other.

    The parts add no text, so the text of the page, or a copy of it, is still the command.
    """
    lines = []
    for parts in folded(text):
        spans = [Markup('<span class="part">{}</span>').format(part) for part in parts]
        lines.append(Markup("").join(spans) if len(parts) > 1 else escape(parts[0]))
    return Markup("\n").join(lines)


_ENVIRONMENT.filters["code"] = _code
_ENVIRONMENT.filters["parts"] = _parts


@dataclass(frozen=True)
class Line:
    """A line to type. `sees` is what it prints; None if that cannot be predicted."""

    title: str
    text: str
    sees: str | None = None


@dataclass(frozen=True)
class Section:
    """A step, for a person at a shell."""

    step: Step
    notice: str
    before: tuple[str, ...]
    assumed: tuple[Line, ...]
    unless: tuple[Line, ...]
    typed: tuple[Line, ...]
    checks: tuple[Line, ...]
    back: tuple[Line, ...]
    tell: tuple[str, ...]

    @property
    def boxes(self) -> int:
        """How many checkboxes it has, without those of the undo."""
        parts = (self.assumed, self.unless, self.typed, self.checks, self.tell)
        return sum(map(len, parts)) + bool(self.step.gate)


@dataclass(frozen=True)
class Page:
    """The steps of a subject. A browser keeps their progress under `key`."""

    file: str
    subject: str
    sections: tuple[Section, ...]
    key: str


def pages(plan: Plan, kind: str = "md", step: str | None = None) -> dict[str, str]:
    """File name -> text, one page per subject, in the plan's order. `kind` is "md" or "html".

    HTML also has an index. With `step` there is one page, with that step alone. The pages are for a
    host whose daemons run, and on which Cellblock has changed nothing yet.
    """
    wanted = (each for each in _sections(plan) if step in (None, each.step.name))
    sections = groupby(wanted, key=lambda each: each.step.name.partition(".")[0])
    template = _ENVIRONMENT.get_template(f"runbook.{kind}.j2")
    found: dict[str, list[Section]] = {}
    for subject, them in sections:
        found.setdefault(subject, []).extend(them)
    there = [
        Page(f"{number:02}-{subject}.{kind}", subject, tuple(them), _key(plan, subject, them))
        for number, (subject, them) in enumerate(found.items(), 1)
    ]
    texts = {}
    if kind == "html" and step is None:
        texts["index.html"] = _ENVIRONMENT.get_template("index.html.j2").render(
            site=plan.site, pages=there
        )
    for page, before, after in zip(there, [None, *there], [*there[1:], None], strict=False):
        texts[page.file] = template.render(
            subject=page.subject,
            site=plan.site,
            sections=page.sections,
            key=page.key,
            before=before,
            after=after,
        )
    return texts


def _key(plan: Plan, subject: str, sections: list[Section]) -> str:
    """The key for the progress in a browser; it changes with the text of the page."""
    identity = sha256(repr(sections).encode()).hexdigest()[:12]
    return f"cellblock {plan.site.name} {subject} {identity}"


def _sections(plan: Plan) -> Iterator[Section]:
    done = ""
    for position, step in enumerate(plan.steps):
        commands = bundle.compile_step(position + 1, step, None).commands
        notice = [f"{name}: up to {s:g} s without an answer" for name, s in step.outage.items()]
        yield Section(
            step,
            ", ".join(notice) or "nothing",
            tuple(_before(step, done)),
            tuple(_assumed(step)),
            tuple(_check_lines(plan, step.gate.unless)) if step.gate else (),
            tuple(_typed(step, commands)),
            tuple(_check_lines(plan, step.checks)),
            tuple(_back(step, commands)),
            tuple(_tell(plan, step)),
        )
        done = step.name if step.operations else done


def _before(step: Step, done: str) -> Iterator[str]:
    if done:
        yield f"{done} is done, and its checks pass."
    if step.operations:
        yield (
            f"You are root on the server, in the shell `{SHELL}`, which takes pasted lines as they "
            "are and lets programs answer in English. A second login is open, for the undo."
        )
    if step.outage:
        yield "The maintenance window is open, and the users were notified."


def _assumed(step: Step) -> Iterator[Line]:
    """What the page assumes about the host, since it was made without it."""
    with facts_from(None) as host:
        for used in step.operations:
            if isinstance(used.arguments.get("then"), Use):  # where_enabled: here it is not
                host.get_fact(companion.Enabled, script=used.arguments["script"])
            else:
                list(used.commands())
    listed: set[str] = set()
    for fact, arguments in host.requested:
        look = _assumption(fact, arguments)
        if look is not None and look.line not in listed:
            listed.add(look.line)
            yield Line(f"precondition: {look.claim}", look.line, look.sees)


def _assumption(fact: type[FactBase[Any]], arguments: dict[str, Any]) -> Look | None:
    assumed = getattr(fact, "assumed", None)
    return assumed(**arguments) if assumed else None


def _check_lines(plan: Plan, wanted: tuple[Check, ...]) -> Iterator[Line]:
    for check in wanted:
        for look in manual_lines(check, plan.site):
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
        # Else the next undo would restore these copies.
        yield Line("remove the saved copies, which are restored now", f"rm -rf {_KEEP}/{step.name}")


def _keep_at(text: str, keep: str) -> list[str]:
    return [f"KEEP={keep}"] if "$KEEP" in text else []


def _kept(step: Step, number: int) -> str:
    return f"{_KEEP}/{step.name}/{number:03}"


def _tell(plan: Plan, step: Step) -> Iterator[str]:
    for name in step.outage:
        yield f"the users of {name}, before you start: no answer for up to {step.outage[name]:g} s"
    yield from step.tell
    if step.operations:
        others = ", ".join(plan.site.run.tell) or "the other administrators of the server"
        yield f"{others}: when you start, and when you are done"


def _claim(check: Check) -> str:
    file, _, function = check.test.partition("::")
    values = ", ".join(check.about)
    words = function.replace("_", " ")
    return f"{file} {words}" + (f": {values}" if values else "")
