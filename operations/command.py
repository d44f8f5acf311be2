"""A command with its undo: what every operation here yields."""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Mapping
from pathlib import PurePosixPath
from shlex import quote
from typing import Literal, NamedTuple

from pyinfra.api.command import FileUploadCommand, StringCommand

LIMIT = 60
"""Seconds that a command may take, unless it sets its own limit."""


def one_line(awk: str) -> str:
    """An awk program of several lines as one, and as a word of sh."""
    return quote(re.sub(r"([{;]?)\n", lambda end: f"{end[1] or ';'} ", awk.strip()))


class Reversible(StringCommand):
    """One line of sh, the line that undoes it, and what it does, in words.

    `undo` must be correct if the command ran, half ran or did not run, and may be typed twice.
    None means that it cannot be undone: a step with such a command must be a point of no return.
    `keep` names files whose before-image the undo reads as "$KEEP/1", "$KEEP/2", ...; the command
    itself may leave a note for the undo in "$KEEP", too.
    `owns` maps what the undo removes or overwrites as a whole to what it leaves there, "" for
    nothing: a path (the sha256 of the content it restores), a tree ("/x/", with everything below),
    "rc.conf NAME", "ipfw rule 500 set 20", "ipfw nat 500" (docs/decisions/0016).
    `limit` is in seconds. `live` means that the change is in the kernel or in a process, so a
    reboot has already undone it. `sees` is what it prints on success, with ANY for what differs
    from host to host.

    In an ordinary pyinfra deploy it is a StringCommand like any other; the undo is not used.
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
    """The new content of `path`, in a temporary file beside it that only root can read."""

    def __init__(self, path: str, content: str) -> None:
        self.path = path
        self.content = content
        self.staged = staged(path)
        super().__init__(io.StringIO(content), self.staged)


class Look(NamedTuple):
    """A line that a person types to check something, and what it prints if all is well.

    `where` it is typed: on the host, on another machine ("elsewhere"), or on the host right after
    such a line ("meanwhile"). `claim` is what it shows, where no check says so.
    """

    line: str
    sees: str = ""
    where: Literal["host", "elsewhere", "meanwhile"] = "host"
    claim: str = ""


ANY = "..."
"""In an expected output: any text."""

Commands = Generator[NewFile | Reversible, None, None]
"""What an operation here yields."""


def staged(path: str) -> str:
    """The temporary file for `path`: named with a dot, so that rc.d, cron and globs skip it."""
    pure = PurePosixPath(path)
    return str(pure.with_name(f".{pure.name}.cellblock"))


__all__ = ["ANY", "LIMIT", "Commands", "Look", "NewFile", "Reversible", "quote", "staged"]
