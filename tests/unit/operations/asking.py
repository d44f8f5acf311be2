"""Makes operations yield commands for the facts of a test, and runs these commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyinfra.context import ctx_host

from operations.command import NewFile, Reversible

DASH = shutil.which("dash") or "sh"
_RECORDING = Path(__file__).parents[2] / "contract" / "freebsd-13.2.json"

_STUBS = {
    "sha256": '[ "$1" = -q ] && sha256sum "$2" | cut -d" " -f1',
    "fsync": 'test -e "$1" || { echo "fsync: open $1" >&2; exit 66; }',
    "chown": "",
    "stat": '[ "$1$2" = "-f%Lp %Su:%Sg" ] && exec /usr/bin/stat -c "%a %U:%G" "$3"',
    "ln": '[ "$1" = -sfh ] && shift && exec /bin/ln -sfn "$@"',
}
"""FreeBSD commands that have another name or other options on Linux."""


def unset(name: str, value: str) -> str:
    """The undo of a variable that rc.conf did not set before; `value` as sh reads it."""
    ours = f"grep -qs ^{name}= /etc/rc.conf /etc/rc.conf.local && sysrc -c {name}={value}"
    return f"if {ours}; then sysrc -x {name}; fi && fsync /etc/rc.conf*"


class _Told:
    """Replaces pyinfra's host. A fact that the test did not give is a KeyError."""

    def __init__(self, facts: Mapping[Any, Any]) -> None:
        self._facts = facts

    def get_fact(self, fact: Any, **_: Any) -> Any:
        return self._facts[fact]

    def noop(self, description: str) -> None:
        pass


def yielded(
    operation: Any, facts: Mapping[Any, Any] | None = None, **arguments: Any
) -> list[NewFile | Reversible]:
    """What an operation yields when the host's facts are these: fact class -> value."""
    with ctx_host.use(_Told(facts or {})):
        return list(operation._inner(**arguments))


def reversible(
    operation: Any, facts: Mapping[Any, Any] | None = None, **arguments: Any
) -> list[Reversible]:
    """The same for an operation that writes no file."""
    found = yielded(operation, facts, **arguments)
    assert all(isinstance(command, Reversible) for command in found), found
    return [command for command in found if isinstance(command, Reversible)]


def pairs(commands: list[Reversible]) -> list[tuple[str, str | None]]:
    return [(command.do, command.undo) for command in commands]


def recorded(command: str, nth: int = 0) -> list[str]:
    """The lines that a real FreeBSD 13.2 printed at the nth run of this command."""
    found = [each for each in json.loads(_RECORDING.read_text()) if each["command"] == command]
    return str(found[nth]["stdout"]).splitlines()


def typed(
    text: str, where: Path, keep: Path | None = None, **stubs: str
) -> subprocess.CompletedProcess[str]:
    """Run one command as host.sh does, sh -eu, in `where`, with FreeBSD's commands before PATH."""
    bin_ = where.parent / f"{where.name}.bin"
    bin_.mkdir(exist_ok=True)
    for name, body in {**_STUBS, **stubs}.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{body}\n")
        (bin_ / name).chmod(0o755)
    environment = {"PATH": f"{bin_}:{os.environ['PATH']}", "KEEP": str(keep or where / "no-keep")}
    return subprocess.run(
        [DASH, "-eu", "-c", text],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
