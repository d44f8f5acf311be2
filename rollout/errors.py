"""What can go wrong, named for the operator's situation. deploy.py turns them into exit codes."""

from __future__ import annotations

from typing import ClassVar


class CellblockError(Exception):
    """Says what happened, the evidence, and what to do next; `code` is the exit code."""

    code: ClassVar[int] = 1

    def __init__(self, what: str, *, evidence: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.evidence = evidence
        self.todo = todo

    def __str__(self) -> str:
        lines = [self.what]
        lines += [f"    {line}" for line in self.evidence.strip().splitlines()]
        if self.todo:
            lines.append(f"  -> {self.todo}")
        return "\n".join(lines)


class Refused(CellblockError):
    """Nothing was changed: the site file, the host or the journal does not allow the run."""


class RolledBack(CellblockError):
    """A step failed; it was undone and the host is as it was before that step."""

    code = 2


class Stuck(CellblockError):
    """An undo failed: manual repair is needed, and the text says where."""

    code = 3


class Waiting(CellblockError):
    """A gate waits for a person's answer."""

    code = 4


class Unreachable(CellblockError):
    """The host does not answer; the text says what it does by itself."""

    code = 5


class Locked(CellblockError):
    """Another run holds the lock of this host."""

    code = 6


class Interrupted(CellblockError):
    """The operator pressed ^C; the text says what the host does by itself."""

    code = 130  # as a shell's for SIGINT
