"""The inserting client against a tiny server that can lose what it acknowledged."""

from collections.abc import Callable

from box.clients.insert import OrdersError, insert, judge
from box.clients.stopping import Stop

Fate = Callable[[int], str]  # of the nth insert: keep, lose, double, refuse, cut


class Server:
    """Decides about each insert; a connection is the server itself."""

    def __init__(self, fate: Fate, stop: Stop, last: int, open_after: int = 0) -> None:
        self.table: list[str] = []
        self.asked = 0
        self.connects = 0
        self.closed = 0
        self._fate, self._stop, self._last, self._open_after = fate, stop, last, open_after

    def connect(self) -> "Server":
        self.connects += 1
        if self.connects <= self._open_after:
            raise OrdersError("refused")
        return self

    def insert(self, mark: str) -> None:
        self.asked += 1
        if self.asked == self._last:
            self._stop.ask()
        fate = self._fate(self.asked)
        self.table += {"keep": [mark], "cut": [mark], "double": [mark, mark]}.get(fate, [])
        if fate in ("refuse", "cut"):
            raise OrdersError(fate)

    def marks(self, run: str) -> list[str]:
        return [mark for mark in self.table if mark.startswith(run)]

    def close(self) -> None:
        self.closed += 1


def serve(fate: Fate, last: int = 5, open_after: int = 0) -> Server:
    return Server(fate, Stop(10), last, open_after)


def keep(_number: int) -> str:
    return "keep"


def test_every_row_is_recorded_and_there() -> None:
    server = serve(keep)
    inserted = insert(server.connect, server._stop, 1000)
    assert [row.mark for row in inserted.acknowledged] == server.table
    assert len(server.table) == 5
    assert not inserted.failures
    assert judge(inserted, server.marks(inserted.run)).is_whole
    assert (server.connects, server.closed) == (1, 1)


def test_an_acknowledged_row_that_is_lost_is_named() -> None:
    server = serve(lambda number: "lose" if number == 3 else "keep")
    inserted = insert(server.connect, server._stop, 1000)
    verdict = judge(inserted, server.table)
    assert verdict.lost == (f"{inserted.run}-0000003",)
    assert not verdict.is_whole


def test_a_row_that_is_there_twice_is_named() -> None:
    server = serve(lambda number: "double" if number == 2 else "keep")
    inserted = insert(server.connect, server._stop, 1000)
    verdict = judge(inserted, server.table)
    assert verdict.doubled == (f"{inserted.run}-0000002",)
    assert not verdict.is_whole


def test_a_row_whose_answer_was_cut_off_may_be_there() -> None:
    server = serve(lambda number: "cut" if number == 2 else "keep")
    inserted = insert(server.connect, server._stop, 1000)
    verdict = judge(inserted, server.table)
    assert verdict.unacknowledged == (f"{inserted.run}-0000002",)
    assert (verdict.rows, verdict.acknowledged) == (5, 4)
    assert verdict.is_whole


def test_it_connects_anew_after_every_error_with_a_new_mark() -> None:
    server = serve(lambda number: "refuse" if number in (2, 3) else "keep", open_after=2)
    inserted = insert(server.connect, server._stop, 1000)
    assert [failure.error for failure in inserted.failures] == ["refused"] * 2 + ["refuse"] * 2
    assert [row.mark[-2:] for row in inserted.acknowledged] == ["03", "06", "07"]
    assert server.connects == 5


def test_nothing_acknowledged_proves_nothing() -> None:
    server = serve(lambda _number: "refuse")
    inserted = insert(server.connect, server._stop, 1000)
    assert not judge(inserted, server.table).is_whole


def test_the_first_answer_is_told_once() -> None:
    told: list[int] = []
    server = serve(lambda number: "refuse" if number == 1 else "keep")
    insert(server.connect, server._stop, 1000, lambda: told.append(server.asked))
    assert told == [2]
