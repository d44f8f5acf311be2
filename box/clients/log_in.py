"""A client that continuously logs in over IMAP, opens the mailbox, and logs out."""

import imaplib
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from box.clients.results import Failure, LoggedIn, longest_gap
from box.clients.stopping import Pace, Stop

ANSWER_LIMIT = 60.0  # seconds; an emulated server is slow


def log_in(
    server: str,
    port: int,
    user: str,
    password: str,
    stop: Stop,
    *,
    rate: float,
    source: str | None = None,
    first: Callable[[], None] = lambda: None,
) -> LoggedIn:
    """Log in at that rate per second, over a new connection each time, until it is stopped.

    A login counts if the mailbox was opened and the server ended the session properly. A mailbox
    with fewer messages than the last time has lost some, since no client deletes any.
    """
    started = time.monotonic()
    answers: list[float] = []
    failures: list[Failure] = []
    slowest = 0.0
    messages = 0
    pace = Pace(rate)
    while pace.take_turn(stop):
        began = time.monotonic()
        try:
            found = _count(server, port, user, password, source)
            if found < messages:
                raise imaplib.IMAP4.error(f"{found} messages, {messages} before")
        except (OSError, imaplib.IMAP4.error) as error:
            text = f"{type(error).__name__}: {error}"
            failures.append(Failure(at=time.monotonic(), error=text))
            continue
        messages = found
        answers.append(time.monotonic())
        slowest = max(slowest, answers[-1] - began)
        if len(answers) == 1:
            first()
    ended = time.monotonic()
    return LoggedIn(
        started=started,
        ended=ended,
        answered=len(answers),
        messages=messages,
        failures=tuple(failures),
        longest_gap=longest_gap(started, answers, ended),
        slowest=slowest,
    )


class _From(imaplib.IMAP4):
    """IMAP4 with a source address, for which imaplib has no option."""

    def __init__(self, server: str, port: int, source: str | None) -> None:
        self._source = source
        super().__init__(server, port, ANSWER_LIMIT)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        local = (self._source, 0) if self._source else None
        return socket.create_connection((self.host, self.port), timeout, local)


def _count(server: str, port: int, user: str, password: str, source: str | None) -> int:
    """Log in, and return how many messages are in the mailbox."""
    imap = _From(server, port, source)
    try:
        imap.login(user, password)
        answer, (found, *_) = imap.select("INBOX")
        if answer != "OK" or found is None:
            raise imaplib.IMAP4.error(f"SELECT: {answer} {found!r}")
        imap.logout()
    except (OSError, imaplib.IMAP4.error):
        with suppress(OSError):
            imap.shutdown()
        raise
    return int(found)
