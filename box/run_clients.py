"""Starts clients on a guest's network, and reads their results."""

import itertools
import os
import selectors
import subprocess
import sys
from pathlib import Path
from typing import IO, Generic, Self, TypeVar

from box.clients.results import (
    Downloaded,
    Got,
    Inserted,
    LoggedIn,
    Record,
    Resolved,
    Sent,
    Verdict,
)
from box.clients.stopping import LONGEST
from box.remote import Remote

PROJECT = Path(__file__).parents[1]
END_LIMIT = 60.0  # seconds from "stop" to the result; a download may have much left to read

R = TypeVar("R", bound=Record)
_numbers = itertools.count(1)


class ClientError(Exception):
    """A client ended without a result, or got no answer; the text has its output."""


class Client(Generic[R]):
    """A client that runs within the `with` block; `stop` returns its results."""

    def __init__(self, guest: Remote, kind: type[R], name: str, port: int, *options: str) -> None:
        number = next(_numbers)
        self.out = guest.scratch / f"{name}-{number}.json"
        self._errors = guest.scratch / f"{name}-{number}.err"
        self._kind = kind
        program = (sys.executable, "-m", "box.clients", name)
        host, at = guest.door(port)
        # Longer than a client's default of 15 minutes: a busy emulated guest is slow.
        ends = ("--until-stdin-eof", "--for", str(LONGEST))
        shared = ("--host", host, "--port", str(at), *ends, "--out", str(self.out))
        source = ("--source", guest.sources[number % len(guest.sources)]) if guest.sources else ()
        self._command = guest.argv(*program, *shared, *source, *options)

    def __enter__(self) -> Self:
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=PROJECT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        for pipe in self._pipes():
            pipe.close()
        self._process.wait()

    def wait_ready(self, limit: float = 30.0) -> Self:
        """Wait for the first good answer. Raises ClientError if there is none in that time."""
        _, stdout = self._pipes()
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(limit) or not stdout.readline():
                result = self.stop().model_dump_json()
                raise ClientError(f"no good answer in {limit} s; its result: ...{result[-500:]}")
        return self

    def stop(self) -> R:
        """Stop it, and read its result. Raises ClientError if there is none."""
        stdin, _ = self._pipes()
        stdin.close()
        try:
            code = self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired as error:
            raise ClientError(
                f"did not end in {END_LIMIT} s; it printed: {self._text()}"
            ) from error
        if code != 0:
            raise ClientError(f"ended with {code}; it printed: {self._text()}")
        return self._kind.read(self.out)

    def _text(self) -> str:
        return self._errors.read_text(errors="backslashreplace").strip()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ClientError("started without pipes")
        return stdin, stdout


def inserting(guest: Remote, rate: float = 200.0, port: int = 3306) -> Client[Inserted]:
    """One client that continuously inserts into shop.orders."""
    return Client(guest, Inserted, "insert", port, "--rate", str(rate))


def getting(
    guest: Remote,
    path: str = "/index.html",
    *,
    expect: str = "",
    rate: float = 20.0,
    threads: int = 8,
    keep_alive: bool = False,
    port: int = 80,
) -> Client[Got]:
    """Clients that continuously GET a page, each at that rate per second."""
    options = ["--path", path, "--expect", expect, "--rate", str(rate)]
    kept = ["--keep-alive"] if keep_alive else []
    return Client(guest, Got, "get", port, *options, "--threads", str(threads), *kept)


def resolving(guest: Remote, name: str, *, rate: float = 50.0, port: int = 53) -> Client[Resolved]:
    """One client that continuously queries that zone, at that rate over each of UDP and TCP."""
    return Client(guest, Resolved, "resolve", port, "--name", name, "--rate", str(rate))


def sending(guest: Remote, to: str, *, rate: float = 5.0, port: int = 25) -> Client[Sent]:
    """One client that continuously sends mail to that address."""
    return Client(guest, Sent, "send", port, "--to", to, "--rate", str(rate))


def logging_in(
    guest: Remote, user: str, password: str, *, rate: float = 1.0, port: int = 143
) -> Client[LoggedIn]:
    """One client that continuously logs in over IMAP, opens its mailbox and logs out."""
    options = ("--user", user, "--password", password, "--rate", str(rate))
    return Client(guest, LoggedIn, "log-in", port, *options)


def downloading(
    guest: Remote, path: str, bytes_per_second: float = 256 * 1024.0, port: int = 80
) -> Client[Downloaded]:
    """One slow download. When it is stopped, it reads the rest at full speed."""
    rate = str(bytes_per_second)
    return Client(guest, Downloaded, "download", port, "--path", path, "--rate", rate)


def verify(guest: Remote, client: Client[Inserted], port: int = 3306) -> Verdict:
    """Whether every row that the server acknowledged is in the table now, exactly once."""
    with Client(guest, Verdict, "verify", port, "--inserted", str(client.out)) as verifying:
        return verifying.stop()
