"""What the clients write down: frozen, typed, and one JSON file each."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A value that is read back exactly as it was written, or not at all."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def write(self, path: Path) -> None:
        """Writes it whole: a reader never finds half a result."""
        half = path.with_name(f"{path.name}.half")
        half.write_text(self.model_dump_json(indent=1))
        half.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls.model_validate_json(path.read_text())


class Gap(Record):
    """A time without an answer: from when (monotonic), how many seconds."""

    start: float
    seconds: float


class Failure(Record):
    """A request that was not answered as it should be: when it ended, and why."""

    at: float
    error: str


class Acknowledged(Record):
    """A row of which the server said that it is there, and when it said so."""

    mark: str
    at: float


class Inserted(Record):
    """What the inserting client saw. All marks of a run begin with its name."""

    run: str
    started: float
    ended: float
    acknowledged: tuple[Acknowledged, ...]
    failures: tuple[Failure, ...]

    @property
    def longest_gap(self) -> Gap:
        return longest_gap(self.started, (row.at for row in self.acknowledged), self.ended)


class Sent(Inserted):
    """What the client that sends mail saw: a message for a row."""


class Verdict(Record):
    """Whether the rows that were acknowledged are in the table, each once."""

    rows: int  # of this run, in the table
    acknowledged: int
    lost: tuple[str, ...]  # acknowledged, and not there
    doubled: tuple[str, ...]  # there more than once
    unacknowledged: tuple[str, ...]  # there, though the answer never came: allowed after a cut

    @property
    def is_whole(self) -> bool:
        """Something was acknowledged, and all of it is there exactly once."""
        return self.acknowledged > 0 and not self.lost and not self.doubled


class Got(Record):
    """What the clients that GET all the time saw, all threads together."""

    started: float
    ended: float
    answered: int
    retried: int  # a kept connection had been closed while idle; asked again on a new one
    failures: tuple[Failure, ...]
    longest_gap: Gap
    slowest: float  # seconds that the slowest good answer took

    @property
    def requests(self) -> int:
        return self.answered + len(self.failures)


class Resolved(Record):
    """What the client that asks a name server all the time saw."""

    started: float
    ended: float
    over_udp: int  # good answers
    over_tcp: int
    failures: tuple[Failure, ...]


class LoggedIn(Record):
    """What the client that logs in over IMAP all the time saw."""

    started: float
    ended: float
    answered: int
    messages: int  # in the mailbox, the last time
    failures: tuple[Failure, ...]
    longest_gap: Gap
    slowest: float  # seconds that the slowest good login took, from the connection to the goodbye


class Downloaded(Record):
    """What one long download over one connection saw."""

    started: float
    ended: float
    expected: int  # bytes, as the server announced them
    received: int
    received_slowly: int  # of these, before the client was told to finish
    sha256: str
    longest_pause: float  # seconds without a byte while bytes were wanted
    error: str | None

    @property
    def is_whole(self) -> bool:
        return self.error is None and self.received == self.expected > 0


def longest_gap(started: float, answers: Iterable[float], ended: float) -> Gap:
    """The longest time without an answer, from the first one to the end.

    So a service that never came back has a gap that lasts to the end, not none; and one that never
    answered has nothing else. How long a client took to be served at all is no gap of the service.
    """
    moments = (*(sorted(answers) or [started]), ended)
    start, end = max(itertools.pairwise(moments), key=lambda pair: pair[1] - pair[0])
    return Gap(start=start, seconds=end - start)
