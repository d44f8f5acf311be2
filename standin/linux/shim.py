"""A shim's call (command, directory, jail, stdin), and the reply that its sh runs."""

from __future__ import annotations

import asyncio
import getopt as posix
import os
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from standin.linux.binaries import REAL
from standin.linux.layout import HIDDEN
from standin.linux.processes import PAUSE, root_of
from standin.linux.rootdir import RootDir

LONGEST_LINE = 1500


class Unknown(Exception):
    """The stand-in does not know this command or option, or FreeBSD would not: never a success."""

    def __init__(self, text: str, exit: int = 64) -> None:
        super().__init__(text)
        self.reply = Reply(exit=exit, err=text)


class Failed(Exception):
    """The command fails with this message, as err(3) does."""

    def __init__(self, text: str, exit: int = 1, out: str = "") -> None:
        super().__init__(text)
        self.reply = Reply(exit=exit, err=text, out=out)


@dataclass(frozen=True)
class Call:
    """`argv` starts with the bare name. `cwd` is as the caller sees it, below its own root."""

    argv: tuple[str, ...]
    rootdir: RootDir
    pid: int = 0
    cwd: str = "/"

    @property
    def name(self) -> str:
        return self.argv[0]

    @property
    def args(self) -> tuple[str, ...]:
        return self.argv[1:]

    @property
    def line(self) -> str:
        return shlex.join(self.argv)

    async def stdin(self) -> bytes:
        """All of stdin. Asynchronous, since the writer may itself be waiting for the model."""
        while not self._has_its_slot_at_0():
            await asyncio.sleep(PAUSE)
        source = os.open(f"/proc/{self.pid}/fd/9", os.O_RDONLY | os.O_NONBLOCK)
        found = bytearray()
        try:
            while True:
                try:
                    block = os.read(source, 65536)
                except BlockingIOError:
                    await asyncio.sleep(PAUSE)
                    continue
                if not block:
                    return bytes(found)
                found += block
        finally:
            os.close(source)

    def _has_its_slot_at_0(self) -> bool:
        """The caller's own stdin is at 9 by then. Raises FileNotFoundError when it is gone."""
        try:
            return f"/{HIDDEN}/answers/" in str(Path(f"/proc/{self.pid}/fd/0").readlink())
        except FileNotFoundError:
            if root_of(self.pid) is None:
                raise
            return False  # its sh closes 0 before it puts the slot there

    def is_of_our_user(self) -> bool:
        """Whether the model may act in the caller's place."""
        return os.stat(f"/proc/{self.pid}").st_uid == os.geteuid()  # noqa: PTH116 - a hot path

    def is_at_terminal(self) -> bool:
        """Whether its own stdin, which may be at 9 already, is a terminal."""
        found = []
        for number in (0, 9):
            with suppress(FileNotFoundError):  # its sh closes 0 before it puts the slot there
                found.append(str(Path(f"/proc/{self.pid}/fd/{number}").readlink()))
        return any("/pts/" in each for each in found)

    async def stdin_text(self) -> str:
        return (await self.stdin()).decode(errors="surrogateescape")

    def umask(self) -> str:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(line.split()[1] for line in status.splitlines() if line.startswith("Umask:"))

    def environment(self) -> dict[str, str]:
        raw = Path(f"/proc/{self.pid}/environ").read_text(errors="surrogateescape")
        pairs = (pair.partition("=") for pair in raw.split("\0") if pair)
        return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class Reply:
    """Text and an exit code, or else sh code that the caller's process then runs."""

    out: str = ""
    err: str = ""
    exit: int = 0
    then: str = ""

    def script(self) -> str:
        parts = [f"printf {_format(self.out)}"] if self.out else []
        if self.err:
            parts.append(f"printf {_format(_ended(self.err))} >&2")
        parts.append(self.then or f"exit {self.exit}")
        return "; ".join(parts)


def getopt(
    call: Call, letters: str, usage: str, exit: int = 64
) -> tuple[dict[str, str], list[str]]:
    """Options as getopt(3) reads them, and the rest. A repeated option keeps its last value."""
    try:
        found, rest = posix.getopt(list(call.args), letters)
    except posix.GetoptError as error:
        missing = "requires" in error.msg
        words = "option requires an argument" if missing else "illegal option"
        raise Unknown(f"{call.name}: {words} -- {error.opt}\n{usage}\n", exit) from None
    return {option[1:]: value for option, value in found}, rest


def real(name: str, *arguments: str) -> str:
    """sh code: one of this machine's own commands."""
    return shlex.join((f"{REAL}/{name}", *arguments))


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _format(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "%%").replace("\n", "\\n")
    quoted = escaped.replace("'", "'\\''")
    # printf(1) would take a leading dash for an option.
    return f"-- '{quoted}'" if text.startswith("-") else f"'{quoted}'"
