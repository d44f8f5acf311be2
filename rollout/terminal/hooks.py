"""The user's own command, run on this machine at the events that a person wants to hear of.

It can change nothing: it runs beside the rollout, one event after the other, within a limit, and
how it ends is told once and otherwise forgotten. Nothing on the host waits for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from queue import Empty, Queue
from tempfile import TemporaryFile
from threading import Thread
from typing import Any

from rollout.engine.listener import Listener, Result
from rollout.plan.step import Gate, Step
from rollout.site import Site
from rollout.terminal.events import now

_OUTCOMES = {
    "confirmed": "confirmed",
    "undone": "undone",
    "rolledback": "undone",
    "stuck": "stuck",
    "unreachable": "unreachable",
}
"""What a step came to, and the event that it is. The others a person has seen himself, or never
began."""


class Command:
    """Runs a line of sh for each event, with it as JSON on standard input. `limit` is in seconds.

    Its output goes nowhere: a picture on the terminal would be torn by it.
    """

    def __init__(self, line: str, limit: float) -> None:
        self._line = line
        self._limit = limit
        self._events: Queue[dict[str, Any] | None] = Queue()
        self._given_up = False
        self.failures: list[str] = []
        self._thread = Thread(target=self._work, name="hook", daemon=True)
        self._thread.start()

    def run(self, event: dict[str, Any]) -> None:
        """Soon, and after those before it; returns at once."""
        self._events.put(event)

    def close(self) -> None:
        """Wait for the last ones, as long as one may take; what is left then does not run."""
        self._events.put(None)
        self._thread.join(self._limit)
        if self._thread.is_alive():
            self._given_up = True
            late = sum(event is not None for event in _taken(self._events))
            self._events.put(None)
            self._thread.join(5)
            if late:
                self.failures.append(f"at the end: it was not run for {late} events")

    def _work(self) -> None:
        while (event := self._events.get()) is not None:
            problem = self._once(event)
            if problem:
                self.failures.append(f"at {event['event']} {event['step']}: {problem}")

    def _once(self, event: dict[str, Any]) -> str:
        """What went wrong; nothing, if all went well."""
        try:
            with TemporaryFile() as given, TemporaryFile() as said:
                given.write(json.dumps(event).encode() + b"\n")
                given.seek(0)
                process = subprocess.Popen(
                    ["/bin/sh", "-c", self._line],
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    start_new_session=True,  # ^C is not for it, and all of it can be ended
                )
                problem = self._awaited(process)
                said.seek(0)
                words = said.read(2000).decode(errors="replace").strip().splitlines()
        except OSError as error:
            return f"it cannot be run: {error.strerror}"
        return f"{problem}: {words[-1]}" if problem and words else problem

    def _awaited(self, process: subprocess.Popen[bytes]) -> str:
        deadline = time.monotonic() + self._limit
        problem = f"it took longer than {self._limit:g} s and was killed"
        while time.monotonic() < deadline:
            if self._given_up:
                problem = "it was still running at the end of the run, and was killed"
                break
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(0.2)
                return f"it exited with {code}" if code else ""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return problem


def _taken(queue: Queue[dict[str, Any] | None]) -> list[dict[str, Any] | None]:
    """All that is left in a queue."""
    found = []
    with suppress(Empty):
        while True:
            found.append(queue.get_nowait())
    return found


class Hooks(Listener):
    """Makes events of what is told. `heard` is told when the command fails for the first time.

    No event has more in it than names, times and our own words: what a host says may hold secrets.
    """

    def __init__(
        self, site: Site, run: str, command: Command, heard: Listener, *, asks: bool
    ) -> None:
        self._about = {"site": site.name, "host": site.host.address, "run": run}
        self._command = command
        self._heard = heard
        self._asks = asks
        self._complained = False
        self._question = ""

    def gate(self, step: Step, gate: Gate) -> None:
        self._question = gate.question
        if self._asks:
            self._gate(step.name)

    def _gate(self, step: str) -> None:
        self._run("gate", step, f"waits at its gate: {self._question}", question=self._question)

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self._run("begun", step.name, doing, why=step.why, doing=doing)

    def undoing(self, step: str, reason: str) -> None:
        self._run("begun", step, f"undoing it ({reason})", why=reason, doing="undoing")

    def result(self, result: Result) -> None:
        event = _OUTCOMES.get(result.outcome)
        if event is not None:
            says = result.reason.removeprefix(f"{result.step}: ") or event
            self._run(event, result.step, says, reason=result.reason)
        elif result.outcome == "waiting" and not self._asks:  # nobody was there to be asked
            self._gate(result.step)

    def close(self) -> None:
        self._command.close()
        self._complain()

    def _run(self, event: str, step: str, says: str, **more: str) -> None:
        text = f"{self._about['site']}: {step}: {says}"
        told = {"event": event, "time": now(), **self._about, "step": step, "text": text, **more}
        self._command.run(told)
        self._complain()

    def _complain(self) -> None:
        """Here, not where it failed: two threads do not tell at once."""
        if self._command.failures and not self._complained:
            self._complained = True
            self._heard.note(
                f"the hook failed {self._command.failures[0]}; the run continues, and "
                "further failures of the hook are not shown"
            )
