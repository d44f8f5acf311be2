"""The results of the clients: frozen, typed values, in one JSON file each."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A value that a file stores completely: reading it gives the same value, or an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def write(self, path: Path) -> None:
        """Write it by a rename, so that a reader never finds a partial result."""
        half = path.with_name(f"{path.name}.half")
        half.write_text(self.model_dump_json(indent=1))
        half.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls.model_validate_json(path.read_text())


class Gap(Record):
    """A time without an answer: its start (monotonic), and its length."""

    start: float
    seconds: float


class Failure(Record):
    """A failed request: when it ended, and why."""

    at: float
    error: str


class Acknowledged(Record):
    """A row that the server acknowledged, and when."""

    mark: str
    at: float


class Inserted(Record):
    """The result of the inserting client. All marks of a run begin with its name."""

    run: str
    started: float
    ended: float
    acknowledged: tuple[Acknowledged, ...]
    failures: tuple[Failure, ...]

    @property
    def longest_gap(self) -> Gap:
        return longest_gap(self.started, (row.at for row in self.acknowledged), self.ended)


class Sent(Inserted):
    """The result of the client that sends mail, with messages for rows."""


class Verdict(Record):
    """Whether the rows that were acknowledged are in the table, each once."""

    rows: int  # of this run, in the table
    acknowledged: int
    lost: tuple[str, ...]  # acknowledged, and not there
    doubled: tuple[str, ...]  # there more than once
    unacknowledged: tuple[str, ...]  # there, without an answer: allowed after a cut

    @property
    def is_whole(self) -> bool:
        """Whether something was acknowledged, and all of it is there exactly once."""
        return self.acknowledged > 0 and not self.lost and not self.doubled


class Got(Record):
    """The result of the clients that GET a page, of all threads."""

    started: float
    ended: float
    answered: int
    retried: int  # on a new connection, after the server closed an idle one
    failures: tuple[Failure, ...]
    longest_gap: Gap
    slowest: float  # seconds that the slowest good answer took

    @property
    def requests(self) -> int:
        return self.answered + len(self.failures)


class Resolved(Record):
    """The result of the client that queries a name server."""

    started: float
    ended: float
    over_udp: int  # good answers
    over_tcp: int
    failures: tuple[Failure, ...]


class LoggedIn(Record):
    """The result of the client that logs in over IMAP."""

    started: float
    ended: float
    answered: int
    messages: int  # in the mailbox, the last time
    failures: tuple[Failure, ...]
    longest_gap: Gap
    slowest: float  # seconds of the slowest good login, from connect to logout


class Downloaded(Record):
    """The result of one long download over one connection."""

    started: float
    ended: float
    expected: int  # bytes, as the server announced them
    received: int
    received_slowly: int  # of these, before the client was stopped
    sha256: str
    longest_pause: float  # seconds without a byte while bytes were wanted
    error: str | None

    @property
    def is_whole(self) -> bool:
        return self.error is None and self.received == self.expected > 0


def longest_gap(started: float, answers: Iterable[float], ended: float) -> Gap:
    """The longest time without an answer, from the first answer to the end.

    So a service that never came back has a gap up to the end. For one that never answered, the gap
    is the whole time. The time before the first answer is no gap of the service.
    """
    moments = (*(sorted(answers) or [started]), ended)
    start, end = max(itertools.pairwise(moments), key=lambda pair: pair[1] - pair[0])
    return Gap(start=start, seconds=end - start)
