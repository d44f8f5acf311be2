"""The host's state read from outside: what must be as before when a step is undone.

It covers more than host.sh's own fingerprint, and does not use host.sh: every byte of every file of
the tree, and the whole model.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from standin import StandIn
from standin.linux.layout import HIDDEN

# What a host writes by itself, what a boot empties, what belongs to the journal or the stand-in;
# and the message that the check of mail sends to root.
PASSED_OVER = (
    "var/mail/root",
    *(HIDDEN, "bin/sh", "var/db/cellblock"),
    *("dev", "proc", "tmp", "var/log", "var/run", "var/spool/postfix/pid", "var/tmp"),
)
ASKED = (
    ("ifconfig", "-a"),
    ("mount", "-p"),
    ("ipfw", "-S", "list"),
    ("ipfw", "nat", "show", "config"),
    ("ipfw", "set", "show"),
    ("jls", "name", "path", "ip4.addr"),
    ("sockstat", "-l"),
    ("kldstat", "-q", "-m", "ipfw"),
)
_OF_A_JAIL = re.compile(
    r"/usr/jails/[^/]+/root/(dev|tmp|var/(run|log|tmp|spool/clientmqueue/sm-client\.pid))|"
    r"/var/spool/clientmqueue-[^/]+/sm-client\.pid"
)
_PID = re.compile(r"^(\S+\s+\S+\s+)\d+", re.MULTILINE)


class View:
    """Reads the host's state as lines; caches the lines of files that did not change."""

    def __init__(self, standin: StandIn) -> None:
        self.standin = standin
        self._lines: dict[tuple[object, ...], str] = {}

    def take(self) -> frozenset[str]:
        return frozenset((*self._files(), *self._model()))

    def _model(self) -> Iterator[str]:
        for argv in ASKED:
            text = self.standin.says(*argv)
            if argv[0] == "sockstat":
                text = _PID.sub(r"\1PID", text)
            for line in text.splitlines():
                yield f"{argv[0]} {' '.join(line.split())}"

    def _files(self) -> Iterator[str]:
        root = str(self.standin.root)
        skipped = {f"{root}/{name}" for name in PASSED_OVER}
        folders = [root]
        while folders:
            with os.scandir(folders.pop()) as found:
                for entry in found:
                    name = entry.path[len(root) :]
                    if entry.path in skipped or _OF_A_JAIL.fullmatch(name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    yield self._line(entry, name)

    def _line(self, entry: os.DirEntry[str], name: str) -> str:
        seen = entry.stat(follow_symlinks=False)
        key = (name, *seen[: stat.ST_SIZE + 1], seen.st_mtime_ns, seen.st_ctime_ns)
        if key not in self._lines:
            what = _content(entry.path, seen.st_mode)
            self._lines[key] = f"path {name} {seen.st_mode:o} {seen.st_uid}:{seen.st_gid} {what}"
        return self._lines[key]


def _content(path: str, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return str(Path(path).readlink())
    if stat.S_ISREG(mode):
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    return ""


def differences(before: frozenset[str], now: frozenset[str]) -> str:
    lines = [f"- {line}" for line in sorted(before - now)]
    return "\n".join(lines + [f"+ {line}" for line in sorted(now - before)])
