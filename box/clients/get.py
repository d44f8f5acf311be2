"""Clients that continuously GET a page and record every request that failed."""

import http.client
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from box.clients.results import Failure, Got, longest_gap
from box.clients.stopping import Pace, Stop

ANSWER_LIMIT = 10.0  # seconds; a request that takes longer has failed

# the server closed an idle keep-alive connection; a browser retries then (RFC 9110 section 9.2.2
# allows it for GET), so that alone is no failure
CLOSED_WHILE_IDLE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


@dataclass(frozen=True)
class Page:
    """What to GET, from where, and what it must contain."""

    host: str
    path: str = "/index.html"
    port: int = 80
    expected: str = ""
    source: str | None = None

    def connect(self, limit: float = ANSWER_LIMIT) -> http.client.HTTPConnection:
        """A connection, which opens at its first request."""
        source = (self.source, 0) if self.source else None
        return http.client.HTTPConnection(self.host, self.port, limit, source)


class Getter(threading.Thread):
    """One of the clients."""

    def __init__(
        self, page: Page, stop: Stop, rate: float, keep_alive: bool, first: Callable[[], None]
    ) -> None:
        super().__init__(daemon=True)
        self._page = page
        self._stop_asked = stop
        self._rate = rate
        self._keep_alive = keep_alive
        self._first = first
        self._kept: http.client.HTTPConnection | None = None
        self.answers: list[float] = []
        self.failures: list[Failure] = []
        self.retried = 0
        self.slowest = 0.0

    def run(self) -> None:
        pace = Pace(self._rate)
        while pace.take_turn(self._stop_asked):
            began = time.monotonic()
            try:
                self._get()
            except (OSError, http.client.HTTPException, UnexpectedPageError) as error:
                text = f"{type(error).__name__}: {error}"
                self.failures.append(Failure(at=time.monotonic(), error=text))
                continue
            self.answers.append(time.monotonic())
            self.slowest = max(self.slowest, self.answers[-1] - began)
            self._first()
        if self._kept is not None:
            self._kept.close()

    def _get(self) -> None:
        kept, self._kept = self._kept, None
        connection = kept or self._page.connect()
        with ExitStack() as closing:
            closing.callback(connection.close)
            try:
                answer = self._begin(connection)
            except CLOSED_WHILE_IDLE:
                if kept is None:
                    raise
                self.retried += 1
                connection.close()  # it opens again at its next request
                answer = self._begin(connection)
            body = answer.read()  # raises IncompleteRead when bytes are missing
            check(answer.status, body, self._page.expected)
            if self._keep_alive and not answer.will_close:
                self._kept = connection
                closing.pop_all()

    def _begin(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        keep = "keep-alive" if self._keep_alive else "close"
        connection.request("GET", self._page.path, headers={"Connection": keep})
        return connection.getresponse()


class UnexpectedPageError(Exception):
    """The answer is not the expected page."""


def check(status: int, body: bytes, expected: str) -> None:
    if status != 200:
        raise UnexpectedPageError(f"status {status}")
    if expected.encode() not in body:
        raise UnexpectedPageError(f"{expected!r} is not in {body[:80]!r}")


def get(
    page: Page,
    stop: Stop,
    *,
    rate: float,
    threads: int = 8,
    keep_alive: bool = False,
    first: Callable[[], None] = lambda: None,
) -> Got:
    """GET with that many clients, each at that rate; call `first` at the first good answer."""
    once = threading.Lock()  # the first answer takes it, and never releases it

    def first_once() -> None:
        if once.acquire(blocking=False):
            first()

    started = time.monotonic()
    getters = [Getter(page, stop, rate, keep_alive, first_once) for _ in range(threads)]
    for getter in getters:
        getter.start()
    for getter in getters:
        getter.join()
    ended = time.monotonic()
    return Got(
        started=started,
        ended=ended,
        answered=sum(len(getter.answers) for getter in getters),
        retried=sum(getter.retried for getter in getters),
        failures=tuple(sorted((f for g in getters for f in g.failures), key=lambda f: f.at)),
        longest_gap=longest_gap(started, (at for g in getters for at in g.answers), ended),
        slowest=max(getter.slowest for getter in getters),
    )
