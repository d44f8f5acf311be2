"""The recorded output of a real FreeBSD 13.2, and how other output is compared with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "freebsd-13.2.json"


@dataclass(frozen=True)
class Answer:
    exit: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Recorded:
    section: str
    command: str
    answer: Answer


# Runs one command in a shell of its own, and returns its result.
Ask = Callable[[str], Answer]


def read() -> list[Recorded]:
    entries = json.loads(FILE.read_text())
    return [
        Recorded(
            entry["section"],
            entry["command"],
            Answer(entry["exit"], entry["stdout"], entry["stderr"]),
        )
        for entry in entries
    ]


# The only thing that may differ between two hosts that behave alike: the process numbers.
PID = re.compile(r"(?<=as pid )\d+|(?<=\(pid=)\d+|(?<=PIDS: )\d+|(?<=cellblock\[)\d+")
SOCKSTAT_PID = re.compile(r"^(\S+ +\S+ +)\d+ +(\d+ +(?:stream|dgram|seqpac))", re.MULTILINE)


def comparable(answer: Answer) -> Answer:
    return Answer(answer.exit, _without_pids(answer.stdout), _without_pids(answer.stderr))


def _without_pids(text: str) -> str:
    return SOCKSTAT_PID.sub(r"\1PID \2", PID.sub("PID", text))
