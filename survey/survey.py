"""A survey: reads a host, drafts its site file, has the product's checks try it, and assesses."""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollout import site
from rollout.engine import checks
from rollout.engine.checks import Outside, Verdict
from rollout.errors import Refused, Unreachable
from rollout.host import journal
from rollout.host.replay import Recorder, Replay
from rollout.host.session import Session, Target
from rollout.host.survey import Recording
from rollout.plan import Plan
from rollout.plan.step import Check, Gate
from rollout.probe.recorded import OfSurvey, RecordedOutside
from rollout.probe.watches import watches
from survey import assessment, fitting, host, reference, text
from survey.assessment import Finding
from survey.draft import Draft
from survey.drafting import Way, drafted, homes
from survey.findings import asked, by_check, collected, looked, of_secrets
from survey.secrets import Secrets
from survey.standin import files


@dataclass(frozen=True)
class Surveyed:
    """The draft, its text, and how many checks of `check` it was tried with; what the host
    answered, without secrets; the findings; and the gates at which a person is asked, by their
    steps.
    """

    draft: Draft
    text: str
    checks: int
    recording: Recording
    findings: tuple[Finding, ...]
    gates: tuple[tuple[str, Gate], ...] = ()

    @property
    def moves(self) -> list[str]:
        """The services that can move."""
        return [name for name in self.draft.order if f"services.{name}" in self.draft.tables]

    def assessment(self) -> dict[str, Any]:
        """The findings, as data."""
        there = self.recording
        return assessment.data(self.findings, there.host, there.release, there.made)

    def counted(self) -> str:
        """How many findings of each severity, in words."""
        return assessment.counted(self.findings).capitalize()

    def assessed(self) -> str:
        """The findings, as text."""
        there = self.recording
        return assessment.text(self.findings, there.host, there.release, there.made)

    def data(self) -> dict[str, Any]:
        """For --json."""
        draft = self.draft
        return {
            "site": draft.data(),
            "seen": {
                f"{table}.{key}".lstrip("."): value.seen
                for table, keys in draft.tables.items()
                for key, value in keys.items()
                if value.seen
            },
            "questions": [
                {
                    "number": number,
                    "table": each.table,
                    "key": each.key,
                    "question": each.what,
                    "why": each.why,
                    "lines": list(each.lines),
                }
                for number, each in text.ordered(draft)
            ],
            "moves": self.moves,
            "left": draft.left,
            "stays": [
                {"daemon": each.daemon, "listens": list(each.listens), "why": each.why}
                for each in draft.strangers
            ],
            "check": {"checks": self.checks, "says": draft.told},
            "release": self.recording.release,
            "assessment": self.assessment(),
        }


def survey(
    target: Target,
    way: Way,
    outside: Outside,
    connecting: AbstractContextManager[None] | None = None,
    also: Plan | None = None,
) -> Surveyed:
    """Look at a host, draft its site file and assess it; nothing is changed there.

    Raises Unreachable if it does not answer, Refused if no draft can be made of it. Within
    `connecting` the connection is made. It also asks what check and plan of `also` would ask.
    """
    with Recorder(target) as session:
        with connecting or nullcontext():
            _connect(session, way)
        there = host.read(session)
        _must_be_untouched(session)
        draft = drafted(there, way)
        fitting.completed(there, draft, session)
        seen = RecordedOutside(outside, draft.get("host", "seen_at", {}))
        verdicts = fitting.checked(there, draft, session, seen)
        made = fitting.parsed(draft)
        fitting.facts(made, session)
        found = looked(made, session, seen)
        if also is not None:
            seen.certificates.watch(watches(also.site))
            looked(also, session, seen, also.checks(1))
            fitting.facts(also, session)
        files.read(session, session.answers, _data(there, made, also), homes(there.people))
        recording = Recording(
            host=target.name,
            release=f"{there.about.system} {there.about.release}",
            made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            answers=session.answers,
            who=seen.asked,
            certificates=seen.presented,
        )
    secrets = Secrets()
    kept = secrets.answers(recording.answers)
    recording = recording.model_copy(update={"answers": kept, "left_out": tuple(secrets.left_out)})
    findings = (
        *collected(draft, made, found),
        *_otherwise(recording, made, {**by_check(made.checks(1), verdicts), **found}),
        *of_secrets(each.what for each in secrets.left_out),
    )
    return Surveyed(
        draft,
        secrets.text(_written(draft, recording)),
        len(verdicts),
        recording,
        tuple(each.without(secrets.text) for each in findings),
        tuple(_gates(made, found, secrets.text)),
    )


def _gates(
    made: Plan, found: Mapping[Check, Verdict], without: Callable[[str], str]
) -> Iterator[tuple[str, Gate]]:
    for step in made.steps:
        if gate := asked(step, found):
            yield step.name, replace(gate, look_at=tuple(map(without, gate.look_at)))


def _data(of: host.Host, *plans: Plan | None) -> Iterator[str]:
    """What jails get of the host's data; and homes that are none of a person, as /var/vmail."""
    people = homes(of.people)
    yield from (each.real for each in of.people if posixpath.dirname(each.real) not in people)
    for there in (each.site for each in plans if each):
        yield from (path for each in there.services.values() for path in each.data)
        jails = (there.jails[name] for name in there.built)
        yield from (mount.source for each in jails for mount in each.mounts)


def _written(draft: Draft, recording: Recording) -> str:
    made = [
        f"Drafted by cellblock survey from {recording.host} ({recording.release}) at "
        f"{recording.made}.",
        "Beside or above each value stands where it was seen. The sample site file explains each "
        "key (cellblock --help says where it is).",
    ]
    written = text.text(draft, made)
    read = tomllib.loads(written)
    if read != draft.data():
        raise AssertionError("the text of the draft does not say what the draft says")
    site.parse(read, Path("site.toml"))
    return written


def _otherwise(
    recording: Recording, made: Plan, live: Mapping[Check, Verdict]
) -> Iterator[Finding]:
    """Whether the checks say of the survey what they said of the host, secrets left out or not."""
    outside = OfSurvey(recording)
    outside.certificates.watch(watches(made.site))
    again = checks.run(live, Replay(recording), made.site, outside)
    passed = {each.name: each.passed for each in live.values()}
    differ = [each.name for each in again if each.passed != passed.get(each.name)]
    if differ:
        yield Finding(
            "survey.differs",
            "look at it",
            "`check --survey` and `plan --survey` ask survey.json in the place of the host.",
            f"these checks answer otherwise there: {'; '.join(differ)}",
            reference.PAGE,
            todo="ask the host itself for these",
        )


_OPTIONS = (
    ("[host] address and port", "the address and --port"),
    ("[host] user and key", "the user and --key"),
    ("[host] address", "the address"),
    ("[host] known_hosts", "--known-hosts"),
    ("[host] become", "--become"),
    ("[host] key", "--key"),
)
"""There is no site file yet: what the messages of a connection call by its keys."""


def _connect(session: Session, way: Way) -> None:
    try:
        session.run(":")
    except Unreachable as error:
        what, todo = error.what, error.todo
        for key, option in _OPTIONS:
            what, todo = what.replace(key, option), todo.replace(key, option)
        raise Unreachable(f"{what} (port {way.port})", evidence=error.evidence, todo=todo) from None


def _must_be_untouched(session: Session) -> None:
    begun = [entry.name for entry in journal.read(session).begun]
    if begun:
        raise Refused(
            f"{session.target.name} has been begun: {', '.join(begun[:5])}"
            f"{' and more' * (len(begun) > 5)} of Cellblock's steps are in place, so a draft would "
            "leave out what is in jails already",
            todo="use the site file that it was begun with: `cellblock status` shows where it "
            "stands; or roll back first",
        )
