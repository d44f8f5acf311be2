"""One client that continuously inserts, and the proof that no acknowledged row is lost."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from box.clients.results import Acknowledged, Failure, Inserted, Verdict
from box.clients.stopping import Pace, Stop

# FreeBSD refuses at most 200 connections per second (net.inet.icmp.icmplim) and drops the packets
# of others. A client that tries more often waits a second to resend them, and would measure that.
REFUSED_PAUSE = 0.01  # seconds


class Orders(Protocol):
    """A connection to the shop's orders. Any call may raise OrdersError."""

    def insert(self, mark: str) -> None: ...
    def marks(self, run: str) -> list[str]: ...
    def close(self) -> None: ...


class OrdersError(Exception):
    """The server refused, or the connection is gone."""


def insert(
    connect: Callable[[], Orders],
    stop: Stop,
    rate: float,
    first: Callable[[], None] = lambda: None,
) -> Inserted:
    """Insert one row after the other until it is stopped; call `first` at the first answer.

    After an error it reconnects at once. It never reuses the mark of a failed insert, since that
    row may or may not be there.
    """
    run = uuid.uuid4().hex[:12]
    acknowledged: list[Acknowledged] = []
    failures: list[Failure] = []
    orders: Orders | None = None
    started = time.monotonic()
    pace = Pace(rate)
    number = 0
    while pace.take_turn(stop):
        number += 1
        mark = f"{run}-{number:07d}"
        try:
            orders = orders or connect()
            orders.insert(mark)
        except OrdersError as error:
            failures.append(Failure(at=time.monotonic(), error=str(error)))
            if orders is not None:
                orders.close()
            orders = None
            stop.wait(REFUSED_PAUSE)
            continue
        acknowledged.append(Acknowledged(mark=mark, at=time.monotonic()))
        if len(acknowledged) == 1:
            first()
    if orders is not None:
        orders.close()
    return Inserted(
        run=run,
        started=started,
        ended=time.monotonic(),
        acknowledged=tuple(acknowledged),
        failures=tuple(failures),
    )


def judge(inserted: Inserted, in_table: Iterable[str]) -> Verdict:
    """Compare the acknowledged rows with the marks of that run that are in the table now."""
    found = Counter(in_table)
    acknowledged = {row.mark for row in inserted.acknowledged}
    return Verdict(
        rows=found.total(),
        acknowledged=len(acknowledged),
        lost=tuple(sorted(acknowledged - found.keys())),
        doubled=tuple(sorted(mark for mark, times in found.items() if times > 1)),
        unacknowledged=tuple(sorted(found.keys() - acknowledged)),
    )
