"""What in people's homes is open to others, or still looks for MySQL on localhost, by account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tabulate import tabulate

from rollout.errors import Refused
from rollout.host.session import Session
from rollout.site import Site

SCRIPT = Path(__file__).parent.parent / "operations" / "audit.sh"
_LIMIT = 1800  # seconds; many a home has more files than the rest of the server
_WHAT = {
    "open": "world-writable",
    "setuid": "set-uid or set-gid",
    "localhost": "uses MySQL through localhost",
    "odd": "its name has a newline: not searched",
}


@dataclass(frozen=True)
class Finding:
    """`line` is that of a "localhost", `mode` octal text of an "open" or a "setuid"."""

    account: str
    kind: str
    path: str
    mode: str = ""
    line: int = 0


def ranges(site: Site) -> list[str]:
    """The uids of people: those that any jail gets. Raises Refused when no jail gets any."""
    if not site.uids:
        raise Refused(
            f"{site.path}: no jail has uids, so no home would be searched",
            todo="give the jail of the accounts their lowest and highest uid",
        )
    return [f"{low}:{high}" for low, high in site.uids]


def look(session: Session, site: Site) -> list[Finding]:
    """Ask the host, in one round trip."""
    return findings(_run(session, ["look", *ranges(site)]))


def fix(session: Session, site: Site) -> list[str]:
    """Take away the modes that `look` shows. Returns what was mended: "MODE PATH"."""
    return _said(_run(session, ["fix", *ranges(site)]), "mended ")


def undo(session: Session) -> tuple[list[str], list[str]]:
    """Put back the modes of the last `fix`: what was restored, and what somebody changed since."""
    out = _run(session, ["undo"])
    return _said(out, "restored "), _said(out, "left ")


def _said(out: str, word: str) -> list[str]:
    return [line.removeprefix(word) for line in out.splitlines() if line.startswith(word)]


def _run(session: Session, words: list[str]) -> str:
    text = SCRIPT.read_text(encoding="utf-8")
    command = f"sh -s {' '.join(words)} <<'END-OF-AUDIT'\n{text}END-OF-AUDIT\n"
    result = session.run(command, limit=_LIMIT)
    if result.code != 0:
        raise Refused(f"the audit of {session.target.name} failed", evidence=result.err[-2000:])
    return result.out


def findings(output: str) -> list[Finding]:
    """What audit.sh said, each once and with its account: the one whose home is nearest above."""
    homes: dict[str, str] = {}
    found: dict[Finding, None] = {}
    for row in output.splitlines():
        kind, value, path = [*row.split(" ", 2), "", ""][:3]
        if kind == "account":
            name, _, home = row.removeprefix("account ").partition("\t")
            homes.setdefault(home, name)
        elif kind in _WHAT and not value.isdecimal():
            raise Refused("the output of the audit cannot be read", evidence=row[:500])
        elif kind == "localhost":
            found[Finding(_owner(path, homes), kind, path, line=int(value))] = None
        elif kind == "odd":
            found[Finding("?", kind, f"inode {value}")] = None
        elif kind in _WHAT:
            mode = f"{_octal(value) & 0o7777:o}"
            found[Finding(_owner(path, homes), kind, path, mode=mode)] = None
    return sorted(found, key=lambda each: (each.account, each.path, each.line, each.kind))


def _octal(mode: str) -> int:
    try:
        return int(mode, 8)
    except ValueError:
        raise Refused("the output of the audit cannot be read", evidence=f"mode {mode}") from None


def _owner(path: str, homes: dict[str, str]) -> str:
    above = (str(each) for each in (PurePosixPath(path), *PurePosixPath(path).parents))
    return next((homes[each] for each in above if each in homes), "?")


def still_local(found: Iterable[Finding]) -> dict[str, list[Finding]]:
    """The accounts with configuration that still says localhost, and where."""
    told: dict[str, list[Finding]] = {}
    for each in found:
        if each.kind == "localhost":
            told.setdefault(each.account, []).append(each)
    return told


def data(found: Iterable[Finding]) -> list[dict[str, Any]]:
    return [asdict(each) for each in found]


def table(found: Iterable[Finding]) -> str:
    rows = [
        (each.account, f"{each.path}:{each.line or ''}".rstrip(":"), each.mode, _WHAT[each.kind])
        for each in found
    ]
    return tabulate(rows, ["account", "file", "mode", ""], disable_numparse=True)
