"""When a client stops, and how many requests it may send until then."""

import os
import signal
import sys
import threading
import time
from types import FrameType

LONGEST = 3600.0  # seconds that any client may run


class Stop:
    """Set by a deadline, by SIGTERM or by the end of stdin, whichever is first."""

    def __init__(self, seconds: float) -> None:
        self._asked = threading.Event()
        self._deadline = time.monotonic() + seconds

    @property
    def asked(self) -> bool:
        return self._asked.is_set() or time.monotonic() >= self._deadline

    def ask(self) -> None:
        self._asked.set()

    def wait(self, seconds: float) -> None:
        """Sleep that long, or until it is time to stop."""
        self._asked.wait(max(0.0, min(seconds, self._deadline - time.monotonic())))

    def obey_sigterm(self) -> None:
        def asked(_number: int, _frame: FrameType | None) -> None:
            self.ask()

        signal.signal(signal.SIGTERM, asked)

    def obey_stdin(self) -> None:
        """Stop at the end of stdin, so that a client never outlives the process that started it."""

        def read() -> None:
            while os.read(sys.stdin.fileno(), 4096):
                pass
            self.ask()

        threading.Thread(target=read, daemon=True).start()


class Pace:
    """At most so many turns per second; missed turns are not made up for."""

    def __init__(self, rate: float) -> None:
        self._every = 1 / rate
        self._next = time.monotonic()

    def take_turn(self, stop: Stop) -> bool:
        """Wait for the next turn. False if it is time to stop instead."""
        stop.wait(self._next - time.monotonic())
        self._next = max(self._next, time.monotonic() - self._every) + self._every
        return not stop.asked
