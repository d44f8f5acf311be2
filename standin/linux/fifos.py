"""The FIFOs between the shims and the model."""

from __future__ import annotations

import fcntl
import os
import termios
from array import array
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from standin.linux.layout import HIDDEN, SLOTS

BLOCK = 65536


@dataclass(frozen=True)
class Channel:
    """Open for reading and writing as long as any process of the stand-in lives.

    A shim that found no writer at its slot would read the end of the file as its reply, fail,
    and let the script go on, even after a power cut. So the process that waits for the end of
    all others holds these open as well.
    """

    calls: int
    slots: tuple[int, ...]

    @classmethod
    def open(cls, where: Path) -> Channel:
        folder = where / "root" / HIDDEN
        names = ["calls", *(f"answers/{slot}" for slot in range(SLOTS))]
        calls, *slots = (os.open(folder / name, os.O_RDWR | os.O_NONBLOCK) for name in names)
        return cls(calls, tuple(slots))

    def callers(self) -> list[int]:
        """The pids that were written since the last call."""
        with suppress(BlockingIOError):
            return [int(word) for word in os.read(self.calls, BLOCK).split()]
        return []

    def forget(self, slot: int) -> None:
        """Drop a line that a killed caller did not read."""
        with suppress(BlockingIOError):
            os.read(self.slots[slot], BLOCK)

    def holds(self, slot: int) -> bool:
        """Whether it holds something that was not read yet."""
        count = array("i", [0])
        fcntl.ioctl(self.slots[slot], termios.FIONREAD, count)
        return count[0] > 0

    def answer(self, slot: int, pid: int, line: str) -> None:
        os.write(self.slots[slot], f"{pid} {line}\n".encode(errors="surrogateescape"))
