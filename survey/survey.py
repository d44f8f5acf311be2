"""A survey: reads a host, drafts its site file, and has the product's checks try the draft."""

from __future__ import annotations

import tomllib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollout import site
from rollout.engine.checks import Outside
from rollout.errors import Refused, Unreachable
from rollout.host import journal
from rollout.host.session import Session, Target
from survey import fitting, host, text
from survey.draft import Draft
from survey.drafting import Way, drafted

_IN_PLACE = ("undone", "prepared")


@dataclass(frozen=True)
class Surveyed:
    """The draft, its text, and how many checks of `check` it was tried with."""

    draft: Draft
    text: str
    checks: int
    release: str

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
            "moves": [name for name in draft.order if f"services.{name}" in draft.tables],
            "left": draft.left,
            "stays": [
                {"daemon": each.daemon, "listens": list(each.listens), "why": each.why}
                for each in draft.strangers
            ],
            "check": {"checks": self.checks, "says": draft.told},
            "release": self.release,
        }


def survey(
    target: Target,
    way: Way,
    outside: Outside,
    connecting: AbstractContextManager[None] | None = None,
) -> Surveyed:
    """Look at a host and draft its site file; nothing is changed there.

    Raises Unreachable if it does not answer, Refused if no draft can be made of it. Within
    `connecting` the connection is made.
    """
    with Session(target) as session:
        with connecting or nullcontext():
            _connect(session, way)
        there = host.read(session)
        _must_be_untouched(session)
        draft = drafted(there, way)
        fitting.completed(there, draft, session)
        count = fitting.checked(there, draft, session, outside)
    release = f"{there.about.system} {there.about.release}"
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    made = [
        f"Drafted by cellblock survey from {target.name} ({release}) on {when}.",
        "Beside or above each value stands where it was seen. The sample site file explains each "
        "key (cellblock --help says where it is).",
    ]
    written = text.text(draft, made)
    read = tomllib.loads(written)
    if read != draft.data():
        raise AssertionError("the text of the draft does not say what the draft says")
    site.parse(read, Path("site.toml"))
    return Surveyed(draft, written, count, release)


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
    entries = journal.read(session).entries
    begun = [entry.name for entry in entries if entry.state not in _IN_PLACE]
    if begun:
        raise Refused(
            f"{session.target.name} has been begun: {', '.join(begun[:5])}"
            f"{' and more' * (len(begun) > 5)} of Cellblock's steps are in place, so a draft would "
            "leave out what is in jails already",
            todo="use the site file that it was begun with: `cellblock status` shows where it "
            "stands; or roll back first",
        )
