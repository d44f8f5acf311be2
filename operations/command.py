"""A command that knows its way back. What every operation here yields."""

from __future__ import annotations

import io
from collections.abc import Generator, Mapping
from pathlib import PurePosixPath
from shlex import quote
from typing import Literal, NamedTuple

from pyinfra.api.command import FileUploadCommand, StringCommand

LIMIT = 60
"""Seconds that a command may take unless it says otherwise."""


class Reversible(StringCommand):
    """One line of sh, the line that takes it back, and what it is, in words.

    `undo` has to be right when the command ran, half ran or did not run, and may be typed twice.
    None means that there is no way back: a step with such a command must be a point of no return.
    `keep` names files whose before-image the undo reads as "$KEEP/1", "$KEEP/2", ...; the command
    itself may leave a word for the undo in "$KEEP", too.
    `owns` is what the undo removes or overwrites whole -> what it leaves there, "" for nothing: a
    path (the sha256 of what it puts back), a tree ("/x/", with all below it), "rc.conf NAME",
    "ipfw rule 500 set 20", "ipfw nat 500" (docs/decisions/0016).
    `limit` is in seconds. `live` says that what it changes lives in the kernel or in a process, so
    that a reboot has taken it back already. `sees` is what it prints where it works, with ANY in
    the place of what differs from host to host.

    In an ordinary pyinfra deploy it is a StringCommand like any other and the undo is not used.
    Commands are a single line because root's csh cannot quote a newline (docs/decisions/0003).
    """

    def __init__(
        self,
        do: str,
        *,
        undo: str | None,
        says: str,
        keep: tuple[str, ...] = (),
        owns: Mapping[str, str] | None = None,
        limit: int = LIMIT,
        live: bool = False,
        sees: str = "",
    ) -> None:
        super().__init__(do)
        self.do = do
        self.undo = undo
        self.says = says
        self.keep = keep
        self.owns = dict(owns or {})
        self.limit = limit
        self.live = live
        self.sees = sees


class NewFile(FileUploadCommand):
    """The new content of `path`, laid beside it under a name of ours, readable by root alone."""

    def __init__(self, path: str, content: str) -> None:
        self.path = path
        self.content = content
        self.staged = staged(path)
        super().__init__(io.StringIO(content), self.staged)


class Look(NamedTuple):
    """A line that a person types to see for himself, and what he sees if all is well.

    `where` it is typed: on the host, on another machine ("elsewhere"), or on the host right after
    such a line ("meanwhile").
    """

    line: str
    sees: str = ""
    where: Literal["host", "elsewhere", "meanwhile"] = "host"


ANY = "..."
"""In what a person is to see: whatever stands there."""

Commands = Generator[NewFile | Reversible, None, None]
"""What an operation here yields."""


def staged(path: str) -> str:
    """Where the new content of `path` waits: behind a dot, which rc.d, cron and globs pass over."""
    pure = PurePosixPath(path)
    return str(pure.with_name(f".{pure.name}.cellblock"))


__all__ = ["ANY", "LIMIT", "Commands", "Look", "NewFile", "Reversible", "quote", "staged"]
