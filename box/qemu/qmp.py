"""qemu's monitor (QMP, docs/interop/qmp-spec.txt in qemu): one JSON object per line."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rollout.errors import Refused

ANSWER_LIMIT = 120.0  # seconds; a savevm of a gigabyte on a busy disk is the slowest


class MonitorError(Refused):
    """qemu refused a command, or its monitor is gone."""


class Monitor:
    """A connection to the monitor of a qemu. It tries up to `limit` seconds while qemu is alive."""

    def __init__(self, path: Path, limit: float, alive: Callable[[], bool]) -> None:
        self._socket = _connect(path, limit, alive)
        self._socket.settimeout(ANSWER_LIMIT)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        try:
            self._read()  # the greeting
            self.execute("qmp_capabilities")
        except MonitorError:
            self.close()
            raise

    def execute(self, command: str, **arguments: object) -> Any:
        """Run a command, and return its result. Raises MonitorError if it failed."""
        request = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise MonitorError(f"{command}: {error}") from error
        while True:
            answer = self._read()
            if "error" in answer:
                raise MonitorError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
            # else it is an event; any number of them may come before the answer

    def human(self, line: str) -> None:
        """Run a command of the human monitor that prints nothing on success, such as savevm."""
        text = self.execute("human-monitor-command", **{"command-line": line})
        if text.strip():
            raise MonitorError(f"{line}: {text.strip()}")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _read(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise MonitorError(f"no answer from qemu: {error}") from error
        if not line:
            raise MonitorError("qemu closed its monitor")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _connect(path: Path, limit: float, alive: Callable[[], bool]) -> socket.socket:
    deadline = time.monotonic() + limit
    while True:
        attempt = socket.socket(socket.AF_UNIX)
        try:
            attempt.connect(str(path))
        except OSError as error:
            attempt.close()
            if not alive() or time.monotonic() > deadline:
                raise MonitorError(f"no monitor at {path}: {error}") from error
            time.sleep(0.02)
        else:
            return attempt
