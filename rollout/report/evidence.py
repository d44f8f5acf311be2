"""What the host itself says to a report: its fingerprints before and now, its log of each step."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from rollout.engine.listener import Result
from rollout.errors import CellblockError
from rollout.host import journal
from rollout.host.session import Session, Target
from rollout.site import JOURNAL

LOG = 262144  # bytes of a step's log, its end; what is left out is counted
_LIMIT = 120.0  # seconds


@dataclass(frozen=True)
class Log:
    lines: list[str]
    left_out: int  # bytes


@dataclass(frozen=True)
class Evidence:
    """`missing` says why there is nothing."""

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    logs: dict[str, Log] = field(default_factory=dict)
    missing: str = ""


def confirmed(session: Session) -> list[str]:
    """The steps that the host's journal has as confirmed now."""
    return [entry.name for entry in journal.read(session).done]


def gather(target: Target, results: Sequence[Result], back: bool) -> Evidence:
    """Ask the host, over a connection of its own and in one round trip.

    With `back`, the logs begin where the steps' undo began. A host that cannot be asked is told
    with its reason: it changes nothing of what the run came to.
    """
    mark = f"--{secrets.token_hex(12)}"
    try:
        with Session(target) as session:
            text = session.output(_script(results, mark, back), limit=_LIMIT)
    except CellblockError as error:
        return Evidence(missing=error.what)
    return _read(text, mark)


def _script(results: Sequence[Result], mark: str, back: bool) -> str:
    """A step's directory is NNN-NAME. What the first step began with is the host of before."""
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
            f'tail -n +$((skip + 1)) "$d/log" | tail -c {LOG}',
            "echo; done",
        ]
    lines += [
        f"echo '{mark} status'; sh host.sh status",
        f"echo '{mark} after'; sh host.sh fingerprint",
        f'echo \'{mark} before\'; if [ -n "$before" ]; then cat "$before"; fi',
    ]
    return "\n".join(lines)


def _began_with(result: Result, back: bool) -> str | None:
    """The fingerprint that the host took as this run began with the step; None if it never did."""
    if back:
        return "print.rollback"
    if result.commands:
        return "print.before"
    # Run by an earlier command of ours, and only checked and confirmed by this one.
    return "print.applied" if result.outcome == "confirmed" else None


def _read(text: str, mark: str) -> Evidence:
    # What is no UTF-8 came as surrogates, which neither a page nor a terminal can take.
    text = text.encode(errors="surrogateescape").decode(errors="replace")
    parts: dict[str, list[str]] = {}
    logs: dict[str, Log] = {}
    for part in text.split(f"{mark} ")[1:]:
        head, *lines = part.split("\n")
        kind, *rest = head.split(" ")
        lines = [line for line in lines if line]
        if kind == "log":
            logs[rest[0]] = Log(lines, max(0, int(rest[1]) - LOG))
        else:
            parts[kind] = lines
    after = parts.get("after", [])
    done = journal.parse("\n".join(parts.get("status", []))).done
    return Evidence(
        before=parts.get("before") or after,
        after=after,
        confirmed=[entry.name for entry in done],
        logs=logs,
        missing="" if after else "the host has no journal: nothing was ever begun",
    )
