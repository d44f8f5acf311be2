"""A program on a pseudo terminal, as a user has it, and a run for it to show."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pyte
import pytest

from rollout import plan, site
from rollout.terminal.output import Manner, show_run
from tests.unit.rollout import runs

PROJECT = Path(__file__).parents[3]


def _at_terminal() -> None:
    """As in a login shell: processes in the background of a shell ignore ^C."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Screen:
    """A program that has a terminal of its own for its input, its output and its signals."""

    def __init__(self, *argv: str, environment: Mapping[str, str] | None = None) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._slave = slave
        self.before = termios.tcgetattr(slave)
        plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        self._process = subprocess.Popen(
            argv,
            cwd=PROJECT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**plain, "TERM": "xterm-256color", **(environment or {})},
            start_new_session=True,
            preexec_fn=_at_terminal,  # noqa: PLW1509 # one thread
        )
        self.text = ""
        self._shown = pyte.Screen(100, 30)
        self._stream = pyte.ByteStream(self._shown)

    def until(self, pattern: str, limit: float = 60) -> None:
        """Read until the output matches."""
        deadline = time.monotonic() + limit
        while not re.search(pattern, self.text):
            over = self._process.poll() is not None and not self._more(0)
            assert not over, f"it ended without {pattern!r}: {self.shown}"
            assert time.monotonic() < deadline, f"no {pattern!r}: {self.shown}"
            self._more(0.2)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self, limit: float = 60) -> int:
        """Its exit code, once it has ended; its last output is in `text`."""
        deadline = time.monotonic() + limit
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                os.killpg(self._process.pid, signal.SIGKILL)
                raise AssertionError(f"it did not end: {self.shown}")
            self._more(0.2)
        while self._more(0.2):
            pass
        return self._process.returncode

    @property
    def shown(self) -> list[str]:
        """The lines on the screen that are not empty."""
        return [line.rstrip() for line in self._shown.display if line.strip()]

    @property
    def sane(self) -> bool:
        """The cursor is shown, colours are reset, and the terminal modes are restored."""
        cursor = self._shown.cursor
        plain = cursor.attrs == self._shown.default_char
        same: bool = termios.tcgetattr(self._slave) == self.before
        return bool(plain) and not cursor.hidden and same

    def _more(self, wait: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], wait)
        if not ready:
            return False
        came = os.read(self.master, 65536)
        self.text += came.decode(errors="replace")
        self._stream.feed(came)
        return True

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self.master)
        os.close(self._slave)


def answers(file: Path) -> Path:
    """What the prober may have written by now: answers of the host and of a jail, and none."""
    at = time.time() - 5
    rows: list[dict[str, Any]] = [{"t": at, "m": 0, "service": "mysql", "rate": 1}]
    for n, (who, error) in enumerate((("host", None), (None, "refused"), ("mysql", None))):
        row = {"t": at + n, "m": 0, "service": "mysql", "ms": 1, "held": False}
        rows.append({**row, "who": who, "error": error})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def main(ends: str) -> None:
    """The child on the terminal: shows a run; ends it, or waits in its middle."""
    made = plan.make(site.read(PROJECT / "site.example.toml"))
    manner = Manner(quiet=ends == "quiet", as_json=ends == "json", verbose=ends == "verbose")
    with TemporaryDirectory() as folder, show_run(made, "apply", manner) as listener:
        if ends == "checks":
            (Path(folder) / "test_slow.py").write_text("def test(): __import__('time').sleep(6)\n")
            listener.act("apply")
            listener.checking(runs.STEP.name, 1, 97)
            pytest.main(["-p", "no:terminal", "-p", "no:cacheprovider", "-c", os.devnull, folder])
        if ends == "asks":
            listener.act("apply")
            listener.gate(runs.STEP, runs.GATE)
            click.confirm("Well?", err=True)
        if ends == "waits":
            listener.act("apply")
            listener.watching(answers(Path(folder) / "probes.jsonl"))
            listener.step(runs.STEP, "running 2 commands", 2)
            listener.line(runs.logged("applied"))
            listener.checking(runs.STEP.name, 3, 97)
            time.sleep(60)
        runs.replay(listener)


if __name__ == "__main__":
    main(sys.argv[1])
