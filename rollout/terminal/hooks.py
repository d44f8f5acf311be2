"""The hook: a command of the user that runs on this machine at the important events of a run.

It cannot affect the run. It gets one event after the other, each within a time limit. Its first
failure is reported, and later ones are not. Nothing on the host waits for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
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
"""A step's outcome -> its event. Other outcomes need none: the step never began, or the user was
there."""


class Command:
    """Runs a line of sh for each event, which it gets as JSON on standard input. `limit` is in
    seconds.

    Its output is discarded: it would garble the live view on the terminal.
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
        """Queue an event; returns at once."""
        self._events.put(event)

    def close(self) -> None:
        """Wait for the queued events, up to the limit of one; what is left then is dropped."""
        self._events.put(None)
        self._thread.join(self._limit)
        if self._thread.is_alive():
            self._given_up = True
            late = sum(event is not None for event in _drained(self._events))
            self._events.put(None)
            self._thread.join(5)
            if late:
                self.failures.append(f"at the end: it was not run for {late} events")

    def _work(self) -> None:
        while (event := self._events.get()) is not None:
            problem = self._once(event)
            if problem:
                about = " ".join(filter(None, (event["event"], event.get("step"))))
                self.failures.append(f"at {about}: {problem}")

    def _once(self, event: dict[str, Any]) -> str:
        """Run the command for one event. Returns what went wrong, or ""."""
        try:
            with TemporaryFile() as given, TemporaryFile() as errors:
                given.write(json.dumps(event).encode() + b"\n")
                given.seek(0)
                process = subprocess.Popen(
                    ["/bin/sh", "-c", self._line],
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,  # ^C does not reach it, and killpg ends all of it
                )
                problem = self._awaited(process)
                errors.seek(0)
                words = errors.read(2000).decode(errors="replace").strip().splitlines()
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


def once(site: Site, run: str, about: Mapping[str, Any]) -> str:
    """Run the site's hook for one event, of the name of the run, and wait for it. Returns what went
    wrong, or "".
    """
    table = site.hooks
    if table.command is None:
        return ""
    command = Command(table.command, table.timeout)
    command.run({"event": run, "time": now(), **_about(site, run), **about})
    command.close()
    return next(iter(command.failures), "")


def _about(site: Site, run: str) -> dict[str, str]:
    return {"site": site.name, "host": site.host.address, "run": run}


def _drained(queue: Queue[dict[str, Any] | None]) -> list[dict[str, Any] | None]:
    """Everything that is left in a queue."""
    found = []
    with suppress(Empty):
        while True:
            found.append(queue.get_nowait())
    return found


class Hooks(Listener):
    """Passes events to the hook. `output` gets a note when the hook fails for the first time.

    An event contains only names, times and Cellblock's own words: output of the host may have
    secrets in it.
    """

    def __init__(
        self, site: Site, run: str, command: Command, output: Listener, *, asks: bool
    ) -> None:
        self._about = _about(site, run)
        self._command = command
        self._output = output
        self._asks = asks
        self._reported = False
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
        elif result.outcome == "waiting" and not self._asks:  # no prompt, so the hook reports it
            self._gate(result.step)

    def close(self) -> None:
        self._command.close()
        self._report_failure()

    def _run(self, event: str, step: str, says: str, **more: str) -> None:
        text = f"{self._about['site']}: {step}: {says}"
        data = {"event": event, "time": now(), **self._about, "step": step, "text": text, **more}
        self._command.run(data)
        self._report_failure()

    def _report_failure(self) -> None:
        """From this thread, not the hook's: two threads must not print at once."""
        if self._command.failures and not self._reported:
            self._reported = True
            self._output.note(
                f"the hook failed {self._command.failures[0]}; the run continues, and "
                "further failures of the hook are not shown"
            )
