"""Watches every public service from outside: `python -m rollout.probe.prober CONFIG.json`

An own process, so that nothing the engine does (pyinfra's gevent, a long upload) can make it look
away. It appends a JSON line a probe to the results file, which rollout/probe/outage.py reads. It
prints `ready` once every service has answered or failed once, and ends on SIGTERM or when its
standard input does: it never outlives the run that started it.

There are plain probes at a fixed cadence; and every few seconds, and at once when a failure ends,
one that is held open while the host says who holds its other end. Not more often, and not while a
service has just gone: the host answers that by four processes, and has none to spare in a cut-over.
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
from rollout.probe.protocols import KINDS, Watch
from rollout.probe.socket_owner import SocketOwner
from rollout.probe.tls import Certificate

HEADROOM = 1.1  # faster than asked: a hiccup of our own machine must not break the promised rate
GIVEN_UP = 60.0  # seconds; a service that fails for longer is not in the middle of a cut-over
# Wall-clock time is counted from here by the monotonic clock: a step of NTP is not an outage.
EPOCH = time.time() - time.monotonic()


class Config(BaseModel):
    """`socket_owner` is the command that gives root's sh on the host; `hold` is the time between
    two questions for the owner, in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    watches: tuple[Watch, ...] = Field(min_length=1)
    results: Path
    socket_owner: tuple[str, ...] | None = None
    hold: float = Field(default=5.0, gt=0)


class Results:
    """The results file. When a line cannot be written, `failure` says so and the prober ends."""

    def __init__(self, path: Path) -> None:
        self.failure: OSError | None = None
        self._turn = Lock()
        self._file = path.open("ab", buffering=0)
        if path.stat().st_size:
            self._file.write(b"\n")  # ends the line that an earlier prober may have died in

    def note(self, service: str, started: float, **more: object) -> None:
        line = {"t": EPOCH + started, "m": started, "service": service, **more}
        try:
            with self._turn:
                self._file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            self.failure = error

    def close(self) -> None:
        self._file.close()


class Failures:
    """The services that do not answer now, and since when by time.monotonic()."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def note(self, service: str, fails: bool) -> bool:
        """True where a failure has just ended."""
        if fails:
            self._since.setdefault(service, time.monotonic())
            return False
        return self._since.pop(service, None) is not None

    @property
    def fresh(self) -> bool:
        begun = time.monotonic() - GIVEN_UP
        return any(since > begun for since in list(self._since.values()))


class Watcher:
    """Asks one service, in threads of its own."""

    def __init__(
        self,
        watch: Watch,
        results: Results,
        socket_owner: SocketOwner | None,
        hold: float,
        failures: Failures,
    ) -> None:
        self.heard = Event()  # of the service, for the first time
        self._watch = watch
        self._probe = KINDS[watch.kind](watch)
        self._results = results
        self._socket_owner = socket_owner
        self._hold = hold
        self._failures = failures
        self._certificate: bytes | None = None  # the last one that was noted
        self._noting = Lock()
        self._ask_owner = Event()
        self._stop = Event()
        self._threads = [Thread(target=self._ask_at_cadence, daemon=True)]
        if socket_owner is not None:
            self._threads.append(Thread(target=self._ask_for_owners, daemon=True))

    def start(self) -> None:
        self._results.note(self._watch.name, time.monotonic(), rate=self._watch.rate)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._ask_owner.set()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask_at_cadence(self) -> None:
        """A probe that hangs must not thin out those after it, so they overlap: as many as start
        within one timeout. No more, or the probes alone bring a slow server to its knees.
        """
        period = 1 / (self._watch.rate * HEADROOM)
        bound = math.ceil(self._watch.timeout / period) + 2
        free = BoundedSemaphore(bound)

        def ask() -> None:
            try:
                self._ask()
            finally:
                free.release()

        with ThreadPoolExecutor(bound) as pool:
            due = time.monotonic()
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                if free.acquire(timeout=period):
                    pool.submit(ask)
                due = max(due + period, time.monotonic())

    def _ask(self) -> None:
        started = time.monotonic()
        who = error = None
        try:
            with self._probe.answered(started + self._watch.timeout) as answer:
                who = answer.who
                self._note_certificate(started, answer.certificate)
        except Exception as failure:  # whatever it is: a client got no answer
            error = f"{type(failure).__name__}: {failure}"
        self._note(started, who, error)
        if self._failures.note(self._watch.name, error is not None):
            self._ask_owner.set()
        self.heard.set()

    def _note_certificate(self, started: float, certificate: bytes | None) -> None:
        """Once for each change, not in each of twenty lines a second."""
        with self._noting:
            if certificate is None or certificate == self._certificate:
                return
            self._certificate = certificate
        said = asdict(Certificate.of(certificate))
        self._results.note(self._watch.name, started, certificate=said)

    def _ask_for_owners(self) -> None:
        while not self._stop.is_set():
            if not self._failures.fresh:
                with suppress(Exception):  # a failure is for the plain probes to note, in time
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
        self._note(started, who, None, ended=ended, held=True)

    def _note(
        self,
        started: float,
        who: str | None,
        error: str | None,
        ended: float | None = None,
        held: bool = False,
    ) -> None:
        ms = 1000 * ((ended or time.monotonic()) - started)
        self._results.note(
            self._watch.name,
            started,
            ok=error is None,
            ms=round(ms, 3),
            who=who,
            error=error,
            held=held,
        )


def watch(config: Config) -> None:
    """Watches until SIGTERM or the end of standard input."""
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.append(number))
    results = Results(config.results)
    socket_owner = SocketOwner(config.socket_owner) if config.socket_owner else None
    failures = Failures()
    watchers = [
        Watcher(one, results, socket_owner, config.hold, failures) for one in config.watches
    ]
    for watcher in watchers:
        watcher.start()
    ready = False
    while not told and results.failure is None:
        if not ready and all(watcher.heard.is_set() for watcher in watchers):
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
    """Nobody looked: no word about outages can be given."""


class Prober:
    """As the engine holds it: `with Prober(...) as prober: ...`, then outage.read(prober.stop()).

    `socket_owner` is a target's command for a root shell, or None where the answers name their
    owner themselves (stand-in).
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
        """Returns when every service has been asked once; `limit` is in seconds."""
        with NamedTemporaryFile("w", suffix=".json") as config, self._errors.open("wb") as errors:
            config.write(self._config.model_dump_json())  # mode 0600: it may hold a password
            config.flush()
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "rollout.probe.prober", config.name],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # ^C at the terminal is the engine's to deal with
            )
            if not says_ready(process, limit):
                self._end()
                raise self._died(f"it was not ready within {limit:g} s")

    def must_be_watching(self) -> None:
        """Raises ProberDied unless the services are being watched at this moment."""
        if self._process is None or self._process.poll() is not None:
            raise self._died("the prober does not run")

    def stop(self, limit: float = 20.0) -> Path:
        """The results file, complete. Raises ProberDied unless it has watched until now."""
        if self._process is not None:
            try:
                self.must_be_watching()
                self._process.terminate()
                if self._process.wait(limit) != 0:
                    raise self._died("it failed in the end")
            except subprocess.TimeoutExpired:
                raise self._died("it did not stop when told to") from None
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
        # an error that is on its way up tells more than the prober's end
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
            todo=f"what it saw until then is in {self._config.results}",
        )


if __name__ == "__main__":
    main()
