"""How long an apply takes over a slow line: python -m tests.lab.delayed [SUBJECT,...]

Applies the sample to stand-ins whose every byte comes as much later in each direction as half of a
round trip takes, and prints seconds and round trips by the time of one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO

from tabulate import tabulate

from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.host.session import Target
from rollout.plan import Plan
from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import yes
from tests.rehearsal.sites import ordered

ROUND_TRIPS = (0.001, 0.05, 0.3)
"""Seconds that one takes: to a neighbour, to the next country, to the other side of the world."""


class Delayed:
    """A target at the far end of a line. Each connection of it is delayed, its first byte, too."""

    def __init__(self, target: Target, round_trip: float) -> None:
        self._target = target
        self._delay = round_trip / 2
        self.name = target.name

    def shell(self) -> subprocess.Popen[bytes]:
        shell = self._target.shell()
        assert shell.stdin and shell.stdout and shell.stderr
        ours, theirs = os.pipe()
        self._carry(os.fdopen(ours, "rb", 0), shell.stdin)
        shell.stdin = os.fdopen(theirs, "wb")
        shell.stdout = self._late(shell.stdout)
        shell.stderr = self._late(shell.stderr)
        return shell

    def _late(self, source: IO[bytes]) -> IO[bytes]:
        ours, theirs = os.pipe()
        self._carry(source, os.fdopen(theirs, "wb", 0))
        return os.fdopen(ours, "rb")

    def _carry(self, source: IO[bytes], sink: IO[bytes]) -> None:
        """Nothing waits for what came before it: a line is long, and not narrow."""
        way: Queue[tuple[float, bytes]] = Queue()

        def read() -> None:
            while True:
                block = os.read(source.fileno(), 1 << 16)
                way.put((time.monotonic() + self._delay, block))
                if not block:
                    return

        def write() -> None:
            with sink:
                while True:
                    due, block = way.get()
                    time.sleep(max(0.0, due - time.monotonic()))
                    if not block:
                        return
                    try:
                        sink.write(block)
                        sink.flush()
                    except BrokenPipeError:
                        return

        for each in (read, write):
            Thread(target=each, daemon=True).start()


def applied(made: Plan, round_trip: float) -> tuple[float, Sequence[int]]:
    """Seconds that an apply took, and the round trips of each of its steps."""
    with tempfile.TemporaryDirectory() as folder, standin_box(made.site, Path(folder)) as box:
        line = Delayed(box.target, round_trip)
        with Runner(made, line, box.outside, Listener(), yes) as runner:
            began = time.monotonic()
            runner.apply()
            return time.monotonic() - began, [each.trips for each in runner.results]


def main(made: Plan) -> None:
    rows: list[tuple[float, ...]] = []
    for each in ROUND_TRIPS:
        seconds, trips = applied(made, each)
        first = rows[0][1] if rows else seconds
        rows.append((each * 1000, seconds, seconds / first, sum(trips), max(trips), len(trips)))
    heads = ("a round trip (ms)", "apply (s)", "ratio", "round trips", "most in a step", "steps")
    print(tabulate(rows, heads, floatfmt=".4g"))


if __name__ == "__main__":
    subjects = sys.argv[1] if len(sys.argv) > 1 else "traffic,egress,bind,mysql,web,mail,policy"
    main(ordered(*subjects.split(",")))
