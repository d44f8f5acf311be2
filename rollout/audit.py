"""Finds world-writable files in users' homes, files that use MySQL on localhost, and what accounts
use of each other's, by account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tabulate import tabulate

from operations.audit import SCRIPT, SHARING, typed
from rollout.errors import Refused
from rollout.host.session import Session
from rollout.site import Site

_LIMIT = 1800  # seconds; one home may have more files than the rest of the server
_WHAT = {
    "open": "world-writable",
    "setuid": "set-uid or set-gid",
    "localhost": "uses MySQL through localhost",
    "odd": "its name has a newline: not searched",
}


@dataclass(frozen=True)
class Finding:
    """`line` is for the kind "localhost"; `mode`, in octal, for "open" and "setuid".

    `why` is for "shared": how the account uses what belongs to another.
    """

    account: str
    kind: str
    path: str
    mode: str = ""
    line: int = 0
    why: str = ""


def ranges(site: Site) -> list[str]:
    """The uid ranges of users, from all jails. Raises Refused if no jail has any."""
    if not site.uids:
        raise Refused(
            f"{site.path}: no jail has uids, so no home would be searched",
            todo="set uids = [lowest, highest] in the jail that the accounts belong to",
        )
    return [f"{low}:{high}" for low, high in site.uids]


def search(session: Session, site: Site) -> list[Finding]:
    """Search the homes on the host."""
    found = findings(_run(session, SCRIPT, ["look", *ranges(site)]))
    return found + sharing(_run(session, SHARING, ranges(site)))


def sharing(output: str) -> list[Finding]:
    """The findings in the output of sharing.sh: what accounts could not use any more with `mac`."""
    rows = [row.split("\t") for row in output.splitlines()]
    if odd := [row for row in rows if len(row) != 3]:
        raise Refused("the output of the audit cannot be read", evidence="\t".join(odd[0])[:500])
    return [Finding(account, "shared", path, why=why) for account, path, why in rows]


def fix(session: Session, site: Site) -> list[str]:
    """Remove the modes that `search` finds. Returns what was fixed: "MODE PATH"."""
    return _lines(_run(session, SCRIPT, ["fix", *ranges(site)]), "mended ")


def undo(session: Session) -> tuple[list[str], list[str]]:
    """Restore the modes of the last `fix`. Returns the files restored, and those changed since."""
    out = _run(session, SCRIPT, ["undo"])
    return _lines(out, "restored "), _lines(out, "left ")


def _lines(out: str, word: str) -> list[str]:
    return [line.removeprefix(word) for line in out.splitlines() if line.startswith(word)]


def _run(session: Session, script: Path, words: list[str]) -> str:
    result = session.run(typed(script, words), limit=_LIMIT)
    if result.code != 0:
        raise Refused(f"the audit of {session.target.name} failed", evidence=result.err[-2000:])
    return result.out


def findings(output: str) -> list[Finding]:
    """The findings in the output of audit.sh, without duplicates. The nearest home above a path
    gives its account.
    """
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
    """The accounts with files that still use localhost, and these files."""
    accounts: dict[str, list[Finding]] = {}
    for each in found:
        if each.kind == "localhost":
            accounts.setdefault(each.account, []).append(each)
    return accounts


def data(found: Iterable[Finding]) -> list[dict[str, Any]]:
    return [asdict(each) for each in found]


def table(found: Iterable[Finding]) -> str:
    rows = [
        (
            each.account,
            f"{each.path}:{each.line or ''}".rstrip(":"),
            each.mode,
            each.why or _WHAT[each.kind],
        )
        for each in found
    ]
    return tabulate(rows, ["account", "file", "mode", ""], disable_numparse=True)
