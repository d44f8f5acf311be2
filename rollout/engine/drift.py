"""Drift: what others changed since the steps were applied. An undo must not destroy it.

A step's fingerprint after it was applied is compared with the next step's fingerprint before it
ran. The last one is compared with the host as it is now. No step made these differences
(docs/decisions/0016).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from shlex import quote

from tabulate import tabulate

from operations.command import staged
from rollout.engine.listener import Listener
from rollout.errors import Refused
from rollout.host.session import Session
from rollout.site import JOURNAL

ASIDE = f"{JOURNAL}/aside"
"""Where `rollback --set-aside` puts files that an undo would have removed."""

_SCRIPT = Path(__file__).with_name("drift.sh")
_ROWS = 30
_WIDTH = 60


@dataclass(frozen=True)
class Change:
    """Something that others changed: what the steps left there, and what is there now.

    `step` is the last step before the change, by its directory in the journal. `facts` are the new
    lines of the fingerprint, and `values` the values in them.
    """

    place: str
    ours: str
    now: str
    step: str
    facts: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drift:
    """`owns` is step -> what the step's undo removes or overwrites -> what the step left there."""

    changes: tuple[Change, ...] = ()
    owns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def lost(self, undone: Collection[str]) -> tuple[Change, ...]:
        """The changes that the undo of these steps would destroy."""
        return tuple(each for each in self.changes if self.destroyer(each, undone))

    def destroyer(self, change: Change, undone: Collection[str]) -> str:
        """The first of these steps, in the order of the undo, that would destroy it; or ""."""
        # A step after the change has it in its before-images, and restores it.
        destroying = (
            step
            for step, owned in self.owns.items()
            if step in undone
            and step <= change.step
            and any(_destroys(change, place, left) for place, left in owned.items())
        )
        return max(destroying, default="") if change.now else ""

    def files(self, lost: Iterable[Change]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The paths that would be lost: those of the host itself, and those in trees of jails."""
        trees = tuple(
            place for owned in self.owns.values() for place in owned if place.endswith("/")
        )
        paths = [each.place for each in lost if each.place.startswith("/")]
        return (
            tuple(path for path in paths if not path.startswith(trees or "\0")),
            tuple(path for path in paths if path.startswith(trees or "\0")),
        )


@dataclass
class _Found:
    step: str = ""
    removed: dict[str, str] = field(default_factory=dict)
    added: dict[str, str] = field(default_factory=dict)


def _destroys(change: Change, place: str, left: str) -> bool:
    if place.endswith("/"):
        return change.place.startswith(place)
    same = left and any(left == value or left in value.split() for value in change.values)
    return place == change.place and not same


def read(session: Session) -> Drift:
    """Compare, in one round trip. On a host without a confirmed step the result is empty."""
    return parse(session.output(question()))


def question() -> str:
    """sh that prints what `parse` reads."""
    return f"journal={quote(JOURNAL)}\n{_script()}"


@cache
def _script() -> str:
    return _SCRIPT.read_text(encoding="utf-8")


def parse(output: str) -> Drift:
    """Read what drift.sh prints, and skip any other line."""
    found: dict[str, _Found] = {}
    owns: dict[str, dict[str, str]] = {}
    touched: list[tuple[str, int, str]] = []
    times: dict[str, dict[str, int]] = {}
    for line in output.split("\n"):
        word, _, rest = line.partition(" ")
        step, _, rest = rest.partition(" ")
        if word == "owns":
            place, _, left = rest.partition("\t")
            owns.setdefault(step, {})[place] = left
        elif word == "changed" and rest[:2] in ("+ ", "- "):
            place, value = _place(rest[2:])
            each = found.setdefault(place, _Found())
            (each.added if rest[0] == "+" else each.removed)[rest[2:]] = value
            each.step = max(step, each.step)
        elif word == "file" and (row := re.fullmatch(r"(\d{1,12}) (/.*)", rest)):
            touched.append((step, int(row[1]), row[2]))
        elif word == "at" and step.isdigit():
            folder, _, name = rest.rpartition("/")
            times.setdefault(folder, {})[name] = int(step)
    changes = [
        Change(
            place,
            ", ".join(sorted(each.removed.values())),
            ", ".join(sorted(each.added.values())),
            each.step,
            tuple(each.added),
            tuple(each.added.values()),
        )
        for place, each in found.items()
    ]
    listed = {change.place for change in changes}
    ours = list(_run_times(times.values()))
    for step, when, path in touched:
        if path not in listed and not any(begin <= when <= end for begin, end in ours):
            at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(when))
            changes.append(Change(path, "as the steps left it", f"changed {at}", step))
    return Drift(tuple(sorted(changes, key=lambda change: change.place)), owns)


def _run_times(times: Iterable[Mapping[str, int]]) -> Iterator[tuple[int, int]]:
    """The start and end of each run and undo of a step, in seconds since the epoch."""
    for files in times:
        last = max(files.get("progress", 0), files.get("print.after", 0))
        if "print.before" in files:
            yield files["print.before"], files.get("print.applied", last)
        if "print.rollback" in files:
            yield files["print.rollback"], last


_KINDS = "Directory|Regular (?:Empty )?File|Symbolic Link|Fifo(?: File)?|Socket|[A-Z][a-z]+ Device"
_PLACES: tuple[tuple[str, Callable[[re.Match[str]], tuple[str, str]]], ...] = (
    (r"line (\S*/rc\.conf(?:\.local)?) ([A-Za-z_]\w*)=(.*)", lambda m: (f"rc.conf {m[2]}", m[3])),
    (
        r"line (\S*/rc\.conf(?:\.local)?) (cloned_interfaces|jail_list) (.*)",
        lambda m: (f"rc.conf {m[2]}", m[3]),
    ),
    (r"line (\S+) ?(.*)", lambda m: (f"a line of {m[1]}", m[2])),
    (rf"(?i:path (/.*?) ((?:{_KINDS}) \d+ .*))", lambda m: (m[1], m[2].rstrip())),
    (r"hash ([0-9a-f]+) (.*)", lambda m: (m[2], m[1])),
    (
        r"rule (?:# DISABLED )?0*(\d+) set (\d+) (.*)",
        lambda m: (f"ipfw rule {m[1]} set {m[2]}", m[3]),
    ),
    (r"nat ipfw nat (\d+) config (.*)", lambda m: (f"ipfw nat {m[1]}", m[2])),
    (r"set (\d+) (.*)", lambda m: (f"ipfw set {m[1]}", m[2])),
    (r"(address|option) (\S+): (.*)", lambda m: (f"{m[1]} {m[3]} on {m[2]}", "there")),
    (r"mount (\S+) (\S+) (.*)", lambda m: (f"mount {m[2]}", f"{m[1]} {m[3]}")),
    (r"jail (\S+) (.*)", lambda m: (f"jail {m[1]}", m[2])),
    (r"(service|module) (\S+)(.*)", lambda m: (f"{m[1]} {m[2]}", m[3].strip() or "loaded")),
)


def _place(fact: str) -> tuple[str, str]:
    """Split a fact of the fingerprint into its subject and its value."""
    for pattern, split in _PLACES:
        if found := re.fullmatch(pattern, fact):
            place, value = split(found)
            quoted = (
                place.startswith("rc.conf ") and len(value) > 1 and value[0] == value[-1] == '"'
            )
            return place, value[1:-1] if quoted else value
    return fact, "there"


def table(changes: Collection[Change]) -> str:
    rows = [
        [each.place, _short(each.ours), _short(each.now)]
        for each in sorted(changes, key=lambda change: change.place)
    ]
    more = [f"and {len(rows) - _ROWS} more"] if len(rows) > _ROWS else []
    return "\n".join(
        [tabulate(rows[:_ROWS], ["what", "ours", "now"], disable_numparse=True), *more]
    )


def text(found: Drift) -> str:
    if not found.changes:
        return "nothing that the steps left was changed by others"
    return f"changed by others since the steps ran (kept as it is):\n{table(found.changes)}"


def data(found: Drift) -> list[dict[str, str]]:
    return [
        {"what": each.place, "ours": each.ours, "now": each.now, "after": each.step}
        for each in found.changes
    ]


def _short(value: str) -> str:
    value = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1", value)
    return (value if len(value) <= _WIDTH else value[: _WIDTH - 3] + "...") or "-"


def report(session: Session, listener: Listener) -> Drift:
    """Read the drift, and report it to the listener if there is any."""
    found = read(session)
    if found.changes:
        listener.note(text(found))
    return found


def must_preserve(
    session: Session, listener: Listener, undone: Collection[str], *, set_aside: bool
) -> None:
    """Raise Refused if the undo of these steps would destroy what others changed since.

    With `set_aside` these changes are saved on the host instead, and the undo may go on.
    """
    found = report(session, listener)
    lost = found.lost(undone)
    if lost and not set_aside:
        raise Refused(
            "others changed what the rollback would remove or overwrite; nothing was undone",
            evidence=table(lost),
            todo="revert it, or copy it elsewhere; or run rollback --set-aside, which "
            f"first saves it in {ASIDE} on the host",
        )
    if lost:
        listener.note(
            f"saved on the host, in {_set_aside(session, found, undone)}.*:\n{table(lost)}"
        )


def _set_aside(session: Session, found: Drift, undone: Collection[str]) -> str:
    """Save what the undo would destroy in an archive on the host, with the table. Returns its path.

    Then the steps' own files are written again: an undo removes only Cellblock's own files, and may
    need them until then (without its jail.conf a jail does not stop). For each step whose undo
    destroys something, print.forgotten lists it; else the comparison after the undo would miss it.
    """
    lost = found.lost(undone)
    forgotten: dict[str, list[str]] = {}
    for change in lost:
        forgotten.setdefault(found.destroyer(change, undone), []).extend(change.facts)
    own, inside = found.files(lost)
    name = f"{ASIDE}/{time.strftime('%Y-%m-%dT%H.%M.%SZ', time.gmtime())}"
    lines = ["umask 077", f"mkdir -p {ASIDE}", f"printf '%s\\n' {quote(table(lost))} > {name}.txt"]
    if own or inside:
        lines.append(_packed("-cf", name, own))
        if inside:  # a file in a jail's tree may go at any moment, and its root could see to that
            lines.append(f"{{ {_packed('-rf', name, inside)} || :; }}")
        lines.append(f"fsync {name}.tar")
    for step, facts in forgotten.items():
        ordered = "".join(f"{fact}\n" for fact in sorted(facts, key=os.fsencode))
        lines.append(f"printf %s {quote(ordered)} > {JOURNAL}/steps/{step}/print.forgotten")
    lines.append(f"fsync {name}.txt {ASIDE}")
    for change in lost:
        if change.place in own:
            step = f"{JOURNAL}/steps/{found.destroyer(change, undone)}"
            remove = f"rm -f {quote(change.place)}"
            lines.append(_write_again(change.place, step) if change.ours else remove)
    session.output(" &&\n".join(lines))
    return name


def _packed(mode: str, name: str, paths: Iterable[str]) -> str:
    """sh that packs files into NAME.tar; an empty list makes an empty archive."""
    relative = "".join(f"{path[1:]}\n" for path in paths)
    return f"printf %s {quote(relative)} | tar {mode} {name}.tar -C / -T -"


def _write_again(path: str, step: str) -> str:
    """The sh that re-runs the step's two commands for a file: write it, move it into place."""
    placed = f"mv -f {quote(staged(path))} {quote(path)}"
    last = f"$(grep -lF -- {quote(placed)} {step}/do/*.sh)"
    return (
        f'for each in $(ls {step}/do/*.sh | grep -B 1 -xF -- "{last}"); '
        'do sh -eu "$each" || exit 1; done'
    )
