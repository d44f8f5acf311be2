"""A small host on this machine, on which host.sh really runs, and steps to run there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pyinfra.api import operation

from operations.command import Commands, Reversible
from rollout import site
from rollout.engine import connection, runner
from rollout.engine.listener import Listener, Result
from rollout.host import journal
from rollout.plan import Plan
from rollout.plan.step import Gate, Step
from rollout.runbook import manual
from tests.lab.target import close_pipes

PROJECT = Path(__file__).parents[3]
SAMPLE = site.read(PROJECT / "site.example.toml")
HOST_SH = journal.host_sh()
SHELLS = {"dash": "dash", "bash": "bash --posix"}


STUBS = {
    "fsync": 'for each; do test -e "$each" || exit 66; done',
    "lockf": "wait=300\n"
    "while :; do case $1 in -k | -s) ;; -n) old=yes ;; -t) shift; wait=$1 ;; *) break ;; esac\n"
    "shift; done\n"
    '[ -z "${old-}" ] || [ -e "$1" ] || exit 69\n'
    'exec flock -o -E 75 -w "$wait" "$@"',  # lockf's child does not hold the lock either
    "pwait": 'exec tail -s 0.05 --pid="$1" -f /dev/null',
    # Returns when the daemon is out of its caller's process group, so that a cut cannot end it.
    "daemon": '[ "$1" = -f ] || exit 64; shift\n'
    """setsid /bin/sh -c ': >"@where@/daemon.$$"; exec "$@"' x "$@" """
    "</dev/null >/dev/null 2>&1 &\n"
    'until [ -e "@where@/daemon.$!" ]; do sleep 0.01; done',
    "sha256": 'case $1 in -q) sha256sum | cut -d" " -f1 ;; -r) shift; sha256sum "$@" ;;\n'
    "*) exit 64 ;; esac",
    "find": '[ "$1" = -x ] && shift && exec /usr/bin/find "$@" -xdev; exec /usr/bin/find "$@"',
    "sed": 'if [ "$1 $2" = "-i " ]; then shift 2; exec /bin/sed -i "$@"; fi; exec /bin/sed "$@"',
    "stat": '[ "$1" = -f ] || exit 64\n'
    'format=$(printf %s "$2" | /bin/sed -e \'s/%N/%n/;s/%HT/%F/;s/%Lp/%a/;s/%Su:%Sg/%U:%G/;'
    's/ *%Y//\'); shift 2; exec /usr/bin/stat -c "$format" "$@"',
    "ifconfig": 'cat "@where@/model/addresses"',
    "mount": 'cat "@where@/model/mounts"',
    "ipfw": 'if [ "$1" = -S ]; then cat "@where@/model/rules"; fi',
    "jls": "",
    "kldstat": "exit 1",
    "service": 'test -e "@where@/model/$1.runs"',
}
"""FreeBSD commands that this machine lacks, or that have other options here."""


class SmallHost:
    """A directory in which host.sh really runs, under a sh of this machine. A Target."""

    name = "small host"

    def __init__(self, where: Path, sh: str) -> None:
        self.where = where
        self.journal = where / "journal"
        self.root = where / "root"
        self.bin = where / "bin"
        self.shells: list[subprocess.Popen[bytes]] = []
        self.down = False
        self.half_open = False
        self._held: list[int] = []
        for folder in ("etc", "usr/local/etc", "usr/jails", "var/log", "var/spool"):
            (self.root / folder).mkdir(parents=True)
        for folder in ("model", "bin"):
            (where / folder).mkdir()
        for name in ("addresses", "mounts", "rules"):
            (where / "model" / name).touch()
        for name, body in {**STUBS, "sh": f'exec {sh} "$@"'}.items():
            (self.bin / name).write_text(f"#!/bin/sh\n{body.replace('@where@', str(where))}\n")
            (self.bin / name).chmod(0o755)
        self.environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "SMALL_HOST": str(where)}

    def host_sh(self) -> str:
        """The real script, except that it finds commands and files in the test's directory."""
        text, paths = re.subn(r"(?m)^PATH=.*", f"PATH={self.bin}:/usr/bin:/bin", HOST_SH)
        text, places = re.subn(
            r"(?<![\w/])/(etc|usr/local/etc|usr/jails|var/log|var/spool|boot)\b",
            rf"{self.root}/\1",
            text,
        )
        assert paths == 1
        assert places >= 6, "host.sh names other places than it did"
        return text

    def shell(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        argv = [str(self.bin / "sh")]
        if self.half_open:  # the client's end may die without the host's noticing
            err = self.where / f"err.{len(self.shells)}"
            os.mkfifo(err)
            relay = f"exec 3<&0; cat {err} >&2 & setsid {self.bin}/sh <&3 2>{err} | cat"
            argv = ["/bin/sh", "-c", relay]
        if self.down:
            argv = ["/bin/sh", "-c", "echo Connection refused >&2; exit 255"]
        shell = subprocess.Popen(
            argv,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=self.environment,
            cwd=self.where,
            start_new_session=True,
        )
        self.shells.append(shell)
        if self.half_open and shell.stdin is not None:
            self._held.append(os.dup(shell.stdin.fileno()))
        return shell

    def cut(self) -> None:
        """The network fails: every connection ends, with all processes not detached from it."""
        for shell in self.shells:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()  # or its pid would live on as a zombie's

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """host.sh as a person at the console types it."""
        return subprocess.run(
            [str(self.bin / "sh"), str(self.journal / "host.sh"), *words],
            env=self.environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def state(self, directory: str) -> str:
        """The state of a step; there is one at every moment, and never two."""
        found = [each.name for each in (self.journal / "steps" / directory).glob("state.*")]
        assert len(found) == 1, found
        return found[0].removeprefix("state.")

    def wait(self, directory: str, *states: str, seconds: float = 20) -> str:
        deadline = time.monotonic() + seconds
        while True:
            with suppress(AssertionError):  # glob reads the directory bit by bit
                if (now := self.state(directory)) in states:
                    return now
            assert time.monotonic() < deadline, f"still not {states}: {self.log(directory)}"
            time.sleep(0.02)

    def log(self, directory: str) -> str:
        return self.read(directory, "log")

    def read(self, directory: str, name: str) -> str:
        path = self.journal / "steps" / directory / name
        return path.read_text() if path.exists() else ""

    def pids(self, *words: str) -> list[int]:
        """The processes of this host whose command line has these words."""
        found = []
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                if not process.name.isdigit() or int(process.name) == os.getpid():
                    continue
                ours = f"SMALL_HOST={self.where}\0".encode() in (process / "environ").read_bytes()
                line = (process / "cmdline").read_bytes().decode().split("\0")
                if ours and all(any(w in part for part in line) for w in words):
                    found.append(int(process.name))
        return found

    def kill(self, *words: str) -> int:
        """kill -9, as the out-of-memory killer does."""
        killed = self.pids(*words)
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(killed)

    def stop(self) -> None:
        for _ in range(20):
            if not self.kill():
                break
            time.sleep(0.02)
        for held in self._held:
            os.close(held)
        for shell in self.shells:
            close_pipes(shell)
            shell.wait()


def small_host(where: Path, sh: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHost]:
    if shutil.which(sh) is None:
        pytest.fail(f"there is no {sh} here: host.sh cannot be run under it")
    host = SmallHost(where, SHELLS[sh])
    for module in (manual, journal, connection, runner):
        monkeypatch.setattr(module, "JOURNAL", str(host.journal))
    text = host.host_sh()
    monkeypatch.setattr(journal, "host_sh", lambda: text)
    try:
        yield host
    finally:
        host.stop()


@operation()
def typed(
    do: str,
    undo: str | None = ":",
    keep: tuple[str, ...] = (),
    limit: int = 20,
    live: bool = False,
) -> Commands:
    """A command of a test's own."""
    yield Reversible(do, undo=undo, says=do[:40], keep=keep, limit=limit, live=live)


def planned(*steps: Step) -> Plan:
    return Plan(SAMPLE, steps)


class Noted(Listener):
    """Keeps the events that it receives."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.steps: list[str] = []
        self.results: list[Result] = []
        self.more: list[str] = []

    def step(self, step: Step, doing: str, commands: int = 0) -> None:
        self.steps.append(f"{step.name}: {doing}")

    def line(self, text: str) -> None:
        self.lines.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def result(self, result: Result) -> None:
        self.results.append(result)

    def gate(self, step: Step, gate: Gate) -> None:
        self.more.append(f"{step.name}: gate {gate.question}")

    def checking(self, step: str, checks: int, left: int | None = None) -> None:
        self.more.append(f"{step}: {checks} checks, {left} s left")

    def undoing(self, step: str, reason: str) -> None:
        self.more.append(f"{step}: undoing, {reason}")
