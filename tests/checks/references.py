"""What refers to a daemon that moves, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Found:
    """`becomes` begins with "moves", "keeps working" or "gate"."""

    place: str
    word: str
    becomes: str

    @property
    def stops(self) -> bool:
        return self.becomes.startswith("gate")

    def __str__(self) -> str:
        return f"{self.place}: {self.word}: {self.becomes}"


def lines(host: Any, command: str) -> list[str]:
    return str(host.run(command).stdout).splitlines()


def parted(line: str) -> tuple[str, str, str]:
    """FILE:NUMBER:TEXT, as grep -n prints it."""
    path, _, rest = line.partition(":")
    number, _, text = rest.partition(":")
    return path, number, text
