"""The host's own record of a rollout, as `host.sh status` prints it."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from shlex import quote

from rollout.errors import Locked, Refused
from rollout.host.session import Session
from rollout.plan import Plan
from rollout.site import JOURNAL

STATES = ("prepared", "applying", "applied", "confirmed", "undoing", "undone", "stuck")
RESTING = ("applied", "confirmed", "undone", "stuck")
"""The states in which nothing is running; only `applied` has a deadline."""

_COMMAND_FAILED = re.compile(r"command (\d+) failed \((.+?)\): (.*)", re.DOTALL)
_HOST_SH = Path(__file__).with_name("host.sh")
_LOOKING = '. "$journal/looking.sh"'


@dataclass(frozen=True)
class Entry:
    """A step in the journal. `left` is the number of seconds to its deadline when the journal was
    read. `said` is who said yes at its gate, and `hand` who types it.
    """

    directory: str
    state: str
    hash: str
    reason: str = ""
    stuck: str = ""
    token: str = ""
    left: int = 0
    said: str = ""
    hand: str = ""

    @property
    def number(self) -> int:
        """Its number in the plan, from 1."""
        return int(self.directory.partition("-")[0])

    @property
    def name(self) -> str:
        return self.directory.partition("-")[2]

    @property
    def begun(self) -> bool:
        """Whether it has begun and is not undone."""
        return self.state not in ("undone", "prepared")

    @property
    def being_typed(self) -> bool:
        """Whether a person is typing it, or was interrupted while typing."""
        return bool(self.hand) and self.state == "applying"


def in_words(reason: str, commands: int = 0) -> str:
    """The host's reason for an undo, with a command that failed in words, of so many if known."""
    found = _COMMAND_FAILED.fullmatch(reason)
    if found is None:
        return reason
    number, code, title = found.groups()
    why = f"exit code {code}" if code.isdigit() else code
    return f"command {int(number)}{f' of {commands}' * bool(commands)} failed, {why}: {title}"


def shown(log: str, reason: str) -> str:
    """sh that prints what the log has of the command that failed; for other reasons, its end.

    The lines of the undo follow in it.
    """
    found = _COMMAND_FAILED.fullmatch(reason)
    if found is None:
        return f"tail -n 15 {log}"
    of_it = (
        '$1 == (n "") && $2 != "undo:" {on = 1; out = ""} on {out = out $0 "\\n"} '
        '$2 == (n "") && $3 == "failed" {on = 0} END {printf "%s", out}'
    )
    return f"awk -v n={found[1]} '{of_it}' {log} | tail -n 30"


@dataclass(frozen=True)
class Journal:
    """All steps that were ever begun, in their order; empty on a new host."""

    entries: tuple[Entry, ...] = ()
    site: str = ""
    lock: str = ""
    abandoned: str = ""

    def entry(self, name: str) -> Entry | None:
        """The step of that name. One that is undone may be there besides, of another plan."""
        found = (*self.begun, *self.entries)
        return next((entry for entry in found if entry.name == name), None)

    def keeping(self, entry: Entry) -> str:
        """The option with which a rollback keeps the steps before this one."""
        before = [each.name for each in self.begun if each.number < entry.number]
        return f" --to {before[-1]}" if before else ""

    @property
    def begun(self) -> tuple[Entry, ...]:
        """The steps that have begun and are not undone."""
        return tuple(entry for entry in self.entries if entry.begun)

    @property
    def done(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.state == "confirmed")


_WORDS = ("reason", "stuck", "token", "said", "hand")


def parse(text: str) -> Journal:
    """Read what `host.sh status` prints. Raises Refused for a step that cannot be one."""
    journal = Journal()
    entries: dict[str, Entry] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        name, _, value = rest.partition(" ")
        if word == "state" and name:
            state, _, hash = value.partition(" ")
            if not re.fullmatch(r"[0-9]{3,}-.+", name) or state not in STATES:
                raise Refused(
                    f"the journal on the host has steps/{name}: not a step in a known state",
                    evidence=line[:500],
                    todo=f"look at it, then move it out of {JOURNAL}/steps",
                )
            entries[name] = Entry(name, state, hash)
        elif word in _WORDS and name in entries:
            entries[name] = replace(entries[name], **{word: value})  # type: ignore[arg-type] # text all
        elif word == "left" and name in entries and value.isdigit():
            entries[name] = replace(entries[name], left=int(value))
        elif word == "site":
            journal = replace(journal, site=rest)
        elif word == "locked":
            journal = replace(journal, lock=_owner(rest))
        elif word == "abandoned":
            journal = replace(journal, abandoned=_owner(rest))
    return replace(journal, entries=tuple(entries[name] for name in sorted(entries)))


def _owner(lock: str) -> str:
    return lock.split(" ", 2)[-1]


def read(session: Session, directory: str = "") -> Journal:
    """Read the host's journal, or what it has of one step. Changes nothing there."""
    return parse(session.output(question(directory)))


def question(directory: str = "") -> str:
    """sh that prints what `parse` reads."""
    script = f"{JOURNAL}/host.sh"
    asked = f"{script} status {directory}".rstrip()
    return f"if [ -f {script} ]; then sh {asked}; fi"


def must_belong(journal: Journal, plan: Plan) -> None:
    """Refuse the journal of another site. A rollback needs no more: the host has all undos."""
    if journal.site and journal.site.partition(" ")[0] != plan.site.name:
        raise Refused(
            f"{plan.site.path}: name = {plan.site.name!r}, but the journal on the host belongs to "
            f"site {journal.site.partition(' ')[0]!r}",
            todo="use the site file of that run",
        )


def must_fit(journal: Journal, plan: Plan) -> None:
    """Refuse a plan that would do on the host what is done there already, but otherwise.

    A step is known by its number, its name and what it does. So a site file may change in all that
    no step on the host has used: what is left of the plan is then the new file's.
    """
    must_belong(journal, plan)
    if others := differing(journal, plan):
        back = f"cellblock rollback{journal.keeping(others[0])}"
        raise _misdescribed(
            plan,
            others,
            f"or take back what differs and all that came after it, with {back}, then cellblock "
            "apply",
        )


def differing(journal: Journal, plan: Plan) -> list[Entry]:
    """The steps on the host that are not as the plan has them."""
    return [entry for entry in journal.begun if _differs(entry, plan)]


def _misdescribed(plan: Plan, others: Iterable[Entry], todo: str) -> Refused:
    return Refused(
        f"{plan.site.path} no longer describes what was done on the host",
        evidence="\n".join(_differs(entry, plan) for entry in others),
        todo=f"use the site file of that run again; {todo}",
    )


def _differs(entry: Entry, plan: Plan) -> str:
    """How a step on the host is not the plan's; empty if it is."""
    names = [step.name for step in plan.steps]
    there = f"step {entry.directory} is {entry.state} on the host"
    if entry.name not in names:
        return f"{there}, and not in this plan"
    position = names.index(entry.name)
    if entry.number != position + 1:
        return (
            f"{there}, and step {position + 1} of this plan: what comes before it has changed "
            "(what is new belongs after it in order)"
        )
    if entry.hash != plan.steps[position].hash:
        return f"{there}, and would do something else by this site file"
    return ""


def must_keep(journal: Journal, plan: Plan, keep: int) -> None:
    """Refuse a rollback to a step that the plan has elsewhere: it would undo what is to stay.

    What is undone may be of another plan, since the host has its undo.
    """
    must_belong(journal, plan)
    stays = {plan.steps[n].name: plan.directory(n) for n in range(keep)}
    if moved := [e for e in journal.begun if stays.get(e.name, e.directory) != e.directory]:
        raise _misdescribed(plan, moved, "or take back everything, with cellblock rollback")


def same(journal: Journal, plan: Plan) -> int:
    """The number of steps, from the first, that are on the host as the plan has them."""
    return plan.reached({entry.name for entry in journal.begun if not _differs(entry, plan)})


@cache
def host_sh() -> str:
    """host.sh and looking.sh in one file, so that the host always has a complete version."""
    lines = _HOST_SH.read_text(encoding="utf-8").splitlines(keepends=True)
    looking = _HOST_SH.with_name("looking.sh").read_text(encoding="utf-8")
    return "".join(looking if line.startswith(_LOOKING) else line for line in lines)


def operator() -> str:
    """The user at this machine, as the journal records it."""
    return f"{getpass.getuser()} on {socket.gethostname()}"


def take(session: Session, plan: Plan, run: str) -> str:
    """Take the lock for this session, and upload host.sh and the plan. Raises Locked.

    `run` identifies this run, so that it can take its own lock again after its connection ended.
    Returns the owner of a stale lock that was taken over, or "".
    """
    who = operator()
    lines = [f"site {plan.site.name} {plan.site.hash}"]
    lines += [f"step {plan.directory(n)} {step.hash}" for n, step in enumerate(plan.steps)]
    watch = [f"jails {plan.site.base.jails}"]
    watch += [f"service {service.rc}" for service in plan.site.services.values()]
    for service in plan.site.services.values():
        watch += [f"path {path}" for path in (*service.data, *service.logs)]
        watch += [f"path {service.socket}"] if service.socket else []
    result = session.run(
        " &&\n".join(
            [
                "umask 077",
                f"mkdir -p {JOURNAL}/steps {JOURNAL}/history",
                f"chmod 700 {JOURNAL}",
                f"cd {JOURNAL}",
                # A jail may have filled the disk: what is kept for the undo is freed.
                "{ dd if=/dev/urandom of=probe bs=64k count=16 2>/dev/null || rm -f spare; }",
                "rm -f probe",
                _written("host.sh.new", host_sh()),
                "if [ ! -f host.sh ]; then cp host.sh.new host.sh; fi",
                f'sh host.sh lock $$ {run} {quote(who)}"${{SSH_CONNECTION:+ from '
                '${SSH_CONNECTION%% *}} since $(date -u +%Y-%m-%dT%H:%M:%SZ)"',
                _written("watch.new", "\n".join(watch) + "\n"),
                _written("plan.new", "\n".join(lines) + "\n"),
                "fsync host.sh.new watch.new plan.new",
                # By mv: a guard may be reading them now, for a fingerprint or an undo.
                *(f"mv {name}.new {name}" for name in ("host.sh", "watch", "plan")),
                f"fsync steps {JOURNAL}",
            ]
        )
    )
    owner = result.out.strip()
    if result.code == Locked.code:
        raise Locked(
            f"{session.target.name}: another run holds the lock",
            evidence=f"held by {_owner(owner)}; its connection is alive",
            todo="wait for it, or ask its owner; if that machine is gone and the host has not "
            f"noticed yet, kill {owner.partition(' ')[0]} on the host releases the lock",
        )
    if result.code != 0:
        filled = session.run(f"sh {JOURNAL}/host.sh full").out
        raise Refused(
            f"the journal {JOURNAL} cannot be written",
            evidence=filled or result.err,
            todo="docs/security.md says what a full disk means for jails" if filled else "",
        )
    return _owner(owner)


def release(session: Session) -> None:
    session.run(f"sh {JOURNAL}/host.sh unlock $$")


def _written(name: str, text: str) -> str:
    return f"printf %s {quote(text)} > {name}"
