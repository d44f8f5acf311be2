"""Watches every public service from outside: `python -m rollout.probe.prober CONFIG.json`

It is a process of its own, so that nothing the engine does (pyinfra's gevent, a long upload) delays
it. It appends one JSON line per probe to the results file, which rollout/probe/outage.py reads. It
prints `ready` once every service has answered or failed once. It ends on SIGTERM, or when its
standard input ends, so it never outlives the run that started it.

It sends plain probes at a fixed rate. Every few seconds, and when a failure ends, it keeps one
probe's connection open while it asks the host which process owns the other end. It does not ask
more often, nor while a service has just stopped answering: each question costs the host four
processes, which would slow down a cut-over.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import BoundedSemaphore, Event, Lock, Thread
from types import TracebackType

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rollout.errors import CellblockError
from rollout.probe.protocols import KINDS
from rollout.probe.socket_owner import SocketOwner
from rollout.probe.tls import Certificate
from rollout.probe.watch import Watch

HEADROOM = 1.1  # faster than wanted, so that a short stall of this machine does not lower the rate
GIVEN_UP = 60.0  # seconds; a service that fails for longer is not in the middle of a cut-over
# The monotonic clock plus this is wall-clock time: a clock step by NTP is not an outage.
EPOCH = time.time() - time.monotonic()


class Config(BaseModel):
    """`socket_owner` is the command that starts root's sh on the host; `hold` is the time between
    two questions for the owner, in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    watches: tuple[Watch, ...] = Field(min_length=1)
    results: Path
    socket_owner: tuple[str, ...] | None = None
    hold: float = Field(default=5.0, gt=0)


class Results:
    """The results file. If a write fails, `failure` is the error, and the prober ends."""

    def __init__(self, path: Path) -> None:
        self.failure: OSError | None = None
        self._turn = Lock()
        self._file = path.open("ab", buffering=0)
        if path.stat().st_size:
            self._file.write(b"\n")  # ends a partial line of an earlier prober

    def write(self, service: str, started: float, **more: object) -> None:
        line = {"t": EPOCH + started, "m": started, "service": service, **more}
        try:
            with self._turn:
                self._file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            self.failure = error

    def close(self) -> None:
        self._file.close()


class Failures:
    """The services that do not answer now, and since when, by time.monotonic()."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def update(self, service: str, fails: bool) -> bool:
        """Record whether a service fails now. True if a failure has just ended."""
        if fails:
            self._since.setdefault(service, time.monotonic())
            return False
        return self._since.pop(service, None) is not None

    @property
    def fresh(self) -> bool:
        begun = time.monotonic() - GIVEN_UP
        return any(since > begun for since in list(self._since.values()))


class Watcher:
    """Probes one service, in threads of its own."""

    def __init__(
        self,
        watch: Watch,
        results: Results,
        socket_owner: SocketOwner | None,
        hold: float,
        failures: Failures,
    ) -> None:
        self.probed = Event()  # at least one probe has ended
        self._watch = watch
        self._probe = KINDS[watch.kind](watch)
        self._results = results
        self._socket_owner = socket_owner
        self._hold = hold
        self._failures = failures
        self._certificate: bytes | None = None  # the last one that was written
        self._certificate_lock = Lock()
        self._ask_owner = Event()
        self._stop = Event()
        self._threads = [Thread(target=self._probe_at_rate, daemon=True)]
        if socket_owner is not None:
            self._threads.append(Thread(target=self._ask_for_owners, daemon=True))

    def start(self) -> None:
        self._results.write(self._watch.name, time.monotonic(), rate=self._watch.rate)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._ask_owner.set()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _probe_at_rate(self) -> None:
        """Probes overlap, so that one that hangs does not delay the next: at most as many as start
        within one timeout, since more would overload a slow server.
        """
        period = 1 / (self._watch.rate * HEADROOM)
        bound = math.ceil(self._watch.timeout / period) + 2
        free = BoundedSemaphore(bound)

        def probe() -> None:
            try:
                self._probe_once()
            finally:
                free.release()

        with ThreadPoolExecutor(bound) as pool:
            due = time.monotonic()
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                if free.acquire(timeout=period):
                    pool.submit(probe)
                due = max(due + period, time.monotonic())

    def _probe_once(self) -> None:
        started = time.monotonic()
        who = error = None
        try:
            with self._probe.answered(started + self._watch.timeout) as answer:
                who = answer.who
                self._write_certificate(started, answer.certificate)
        except Exception as failure:  # any failure means that a client got no answer
            error = f"{type(failure).__name__}: {failure}"
        self._write(started, who, error)
        if self._failures.update(self._watch.name, error is not None):
            self._ask_owner.set()
        self.probed.set()

    def _write_certificate(self, started: float, certificate: bytes | None) -> None:
        """Write a certificate once when it changes, not with each of 20 probes a second."""
        with self._certificate_lock:
            if certificate is None or certificate == self._certificate:
                return
            self._certificate = certificate
        data = asdict(Certificate.of(certificate))
        self._results.write(self._watch.name, started, certificate=data)

    def _ask_for_owners(self) -> None:
        while not self._stop.is_set():
            if not self._failures.fresh:
                with suppress(Exception):  # the plain probes record failures
                    self._ask_for_owner()
            self._ask_owner.wait(self._hold)
            self._ask_owner.clear()

    def _ask_for_owner(self) -> None:
        started = time.monotonic()
        with self._probe.answered(started + self._watch.timeout) as answer:
            ended = time.monotonic()
            if answer.connection is None or self._socket_owner is None:
                return
            port = self._watch.behind or self._watch.port
            who = self._socket_owner.who(answer.connection, port)
        self._write(started, who, None, ended=ended, held=True)

    def _write(
        self,
        started: float,
        who: str | None,
        error: str | None,
        ended: float | None = None,
        held: bool = False,
    ) -> None:
        ms = 1000 * ((ended or time.monotonic()) - started)
        self._results.write(
            self._watch.name,
            started,
            ok=error is None,
            ms=round(ms, 3),
            who=who,
            error=error,
            held=held,
        )


def watch(config: Config) -> None:
    """Watch until SIGTERM or the end of standard input."""
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.append(number))
    results = Results(config.results)
    socket_owner = SocketOwner(config.socket_owner) if config.socket_owner else None
    failures = Failures()
    watchers = [
        Watcher(one, results, socket_owner, config.hold, failures) for one in config.watches
    ]
    for watcher in watchers:
        watcher.start()
    ready = False
    while not signals and results.failure is None:
        if not ready and all(watcher.probed.is_set() for watcher in watchers):
            ready = True
            print("ready", flush=True)
        readable, _, _ = select.select([0], [], [], 0.1)
        if readable and not os.read(0, 4096):
            break
    for watcher in watchers:
        watcher.stop()
    if socket_owner is not None:
        socket_owner.close()
    for watcher in watchers:
        watcher.join()
    results.close()
    if results.failure is not None:
        raise results.failure


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m rollout.probe.prober CONFIG.json")
    try:
        watch(Config.model_validate_json(Path(sys.argv[1]).read_bytes()))
    except (OSError, ValidationError) as error:
        sys.exit(f"prober: {error}")


def says_ready(process: subprocess.Popen[bytes], limit: float) -> bool:
    if process.stdout is None:
        return False
    readable, _, _ = select.select([process.stdout], [], [], limit)
    return bool(readable) and process.stdout.readline() == b"ready\n"


class ProberDied(CellblockError):
    """The prober ended early, so outages are unknown."""


class Prober:
    """The prober's process: `with Prober(...) as prober: ...`, then outage.read(prober.stop()).

    `socket_owner` is a target's command for a root shell, or None if the answers name their owner
    themselves (stand-in).
    """

    def __init__(
        self,
        watches: Sequence[Watch],
        socket_owner: Sequence[str] | None,
        results: Path,
        *,
        hold: float = 5.0,
    ) -> None:
        self._config = Config(
            watches=tuple(watches),
            results=results.absolute(),
            socket_owner=None if socket_owner is None else tuple(socket_owner),
            hold=hold,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = self._config.results.with_suffix(".err")

    def start(self, limit: float = 20.0) -> None:
        """Return once every service was probed once; `limit` is in seconds."""
        with NamedTemporaryFile("w", suffix=".json") as config, self._errors.open("wb") as errors:
            config.write(self._config.model_dump_json())  # mode 0600: it may contain a password
            config.flush()
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "rollout.probe.prober", config.name],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # the engine handles ^C at the terminal
            )
            if not says_ready(process, limit):
                self._end()
                raise self._died(f"it was not ready within {limit:g} s")

    def must_be_watching(self) -> None:
        """Raises ProberDied unless the services are being watched at this moment."""
        if self._process is None or self._process.poll() is not None:
            raise self._died("the prober is not running")

    def stop(self, limit: float = 20.0) -> Path:
        """The results file, complete. Raises ProberDied unless it has watched until now."""
        if self._process is not None:
            try:
                self.must_be_watching()
                self._process.terminate()
                if self._process.wait(limit) != 0:
                    raise self._died("it failed at its end")
            except subprocess.TimeoutExpired:
                raise self._died("it did not stop on SIGTERM") from None
            finally:
                self._end()
        return self._config.results

    def __enter__(self) -> Prober:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # an error that is being raised matters more than the prober's
        with nullcontext() if error is None else suppress(ProberDied):
            self.stop()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with process:  # closes its pipes and waits
                process.kill()

    def _died(self, why: str) -> ProberDied:
        return ProberDied(
            f"the services are not watched: {why}",
            evidence=self._errors.read_text(errors="replace"),
            todo=f"its results until then are in {self._config.results}",
        )


if __name__ == "__main__":
    main()
