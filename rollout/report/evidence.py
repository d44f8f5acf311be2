"""What the host itself says to a report: its fingerprints before and now, and of each step its log
and its own comparison after an undo.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rollout.engine.listener import Result
from rollout.errors import CellblockError
from rollout.host import journal
from rollout.host.session import Session, Target
from rollout.site import JOURNAL

LOG = 262144  # bytes: the end of a step's log; what is left out is counted
_UNDONE = ("undone", "rolledback", "stuck")  # outcomes after which the host may have compared
_LIMIT = 120.0  # seconds


@dataclass(frozen=True)
class Log:
    lines: list[str]
    left_out: int  # bytes


@dataclass(frozen=True)
class Compared:
    """The host compared itself with before the step, after the undo. `differences` are facts of the
    fingerprint: `- ` was there before, `+ ` is there now.
    """

    facts: int
    differences: list[str]


@dataclass(frozen=True)
class Evidence:
    """`missing` says why there is nothing."""

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    logs: dict[str, Log] = field(default_factory=dict)
    compared: dict[str, Compared] = field(default_factory=dict)
    missing: str = ""


def confirmed(session: Session) -> list[str]:
    """The steps that the host's journal has as confirmed now."""
    return [entry.name for entry in journal.read(session).done]


def gather(target: Target, results: Sequence[Result], back: bool) -> Evidence:
    """Ask the host, over a new connection and in one round trip.

    With `back`, the logs begin where the steps' undo began. If the host cannot be asked, `missing`
    has the reason; the result of the run stays the same.
    """
    mark = f"--{secrets.token_hex(12)}"
    try:
        with Session(target) as session:
            text = session.output(_script(results, mark, back), limit=_LIMIT)
    except CellblockError as error:
        return Evidence(missing=error.what)
    return _read(text, mark)


def _script(results: Sequence[Result], mark: str, back: bool) -> str:
    """A step's directory is NNN-NAME. The fingerprint that the first step began with is that of
    the host before the run.
    """
    skipped = 'if [ -e "$d/told" ]; then read -r skip <"$d/told"; fi' if back else ":"
    lines = [f"cd {JOURNAL} 2>/dev/null || exit 0", "before="]
    for result in results:
        if (first := _began_with(result, back)) is None:
            continue
        lines += [
            f"for d in steps/???-{result.step}; do",
            '[ -e "$d/log" ] || continue',
            f'if [ -z "$before" ] && [ -e "$d/{first}" ]; then before=$d/{first}; fi',
            f"skip=0; {skipped}",
            f"echo '{mark} log {result.step}' $(tail -n +$((skip + 1)) \"$d/log\" | wc -c)",
            f'tail -n +$((skip + 1)) "$d/log" | tail -c {LOG}; echo',
            *(_comparison(result, mark) if result.outcome in _UNDONE else ()),
            "done",
        ]
    lines += [
        f"echo '{mark} status'; sh host.sh status",
        f"echo '{mark} after'; sh host.sh fingerprint",
        f'echo \'{mark} before\'; if [ -n "$before" ]; then cat "$before"; fi',
    ]
    return "\n".join(lines)


def _comparison(result: Result, mark: str) -> tuple[str, ...]:
    return (
        'if [ -e "$d/print.after" ] && [ -e "$d/differences" ]; then',
        f"echo '{mark} compared {result.step}' $(wc -l <\"$d/print.after\")",
        f'head -c {LOG} "$d/differences"; echo; fi',
    )


def _began_with(result: Result, back: bool) -> str | None:
    """The fingerprint that the host took when this run began the step; None if it never did."""
    if back:
        return "print.rollback"
    if result.commands:
        return "print.before"
    # An earlier command of ours ran it; this one only checked and confirmed it.
    return "print.applied" if result.outcome == "confirmed" else None


def _read(text: str, mark: str) -> Evidence:
    # Bytes that are not UTF-8 came as surrogates, which neither a page nor a terminal can show.
    text = text.encode(errors="surrogateescape").decode(errors="replace")
    parts: dict[str, list[str]] = {}
    logs: dict[str, Log] = {}
    compared: dict[str, Compared] = {}
    for part in text.split(f"{mark} ")[1:]:
        head, *lines = part.split("\n")
        kind, *rest = head.split(" ")
        lines = [line for line in lines if line]
        if kind == "log":
            logs[rest[0]] = Log(lines, max(0, int(rest[1]) - LOG))
        elif kind == "compared":
            compared[rest[0]] = Compared(int(rest[1]), list(_differences(lines)))
        else:
            parts[kind] = lines
    after = parts.get("after", [])
    done = journal.parse("\n".join(parts.get("status", []))).done
    return Evidence(
        before=parts.get("before") or after,
        after=after,
        confirmed=[entry.name for entry in done],
        logs=logs,
        compared=compared,
        missing="" if after else "the host has no journal: nothing was ever begun",
    )


def _differences(lines: Iterable[str]) -> Iterator[str]:
    """The facts of a diff(1), marked as unified diffs mark them; its line numbers are left out."""
    for line in lines:
        if line.startswith(("< ", "> ")):
            yield f"{'-' if line[0] == '<' else '+'} {line[2:]}"
