"""A guest as somebody reaches it from here, whatever runs it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rollout.errors import Refused
from rollout.host.session import Ssh

CONNECT_LIMIT = 15  # seconds; to a guest with half a CPU, sshd's first word takes five

# root's shell is csh, which cannot take lines or nested quotes; so what is to run goes to a fresh
# sh as one word by way of stdin, and csh sees only this
RUN_IN_SH = "exec /bin/sh -c 'exec /bin/sh -c \"$(cat)\"'"
STILL_BOOTING = "pgrep -qf '^(/bin/)?sh /etc/[r]c autoboot'"
_NOT_CONNECTED = ("ssh: ", "Connection ", "root@", "kex_exchange_identification")


class AcceleratorFailed(Refused):
    """The guest stands still: this machine's CPU cannot run its code."""


class GuestError(Refused):
    """The guest did not do what a guest does; the evidence is the end of its console."""


@dataclass(frozen=True)
class Answer:
    """What a command in the guest gave, byte for byte where it is UTF-8."""

    exit: int
    stdout: str
    stderr: str


class Remote(Protocol):
    """What clients and the provisioning need of a guest."""

    scratch: Path

    @property
    def sources(self) -> Sequence[str]:
        """Addresses for clients to speak from, where the network has several."""
        ...

    @property
    def target(self) -> Ssh:
        """The guest, as the engine reaches a host."""
        ...

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        """Where the guest's port is found."""
        ...

    def argv(self, *command: str) -> list[str]:
        """That command as it must be started to have the guest in reach."""
        ...

    def sh(self, command: str, timeout: float = 120.0) -> Answer: ...

    def wait_until(self, question: Callable[[], bool], what: str, limit: float) -> None: ...


def ssh_argv(target: Ssh, command: str) -> list[str]:
    """ssh to the guest's root, over a connection that is shared with nobody."""
    options = {"ConnectTimeout": str(CONNECT_LIMIT), "LogLevel": "ERROR"}
    more = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    name, *argv = target.argv(command)
    return [name, "-F", "none", *more, *argv]


def sh(argv: Sequence[str], command: str, timeout: float) -> Answer:
    """`/bin/sh -c COMMAND` by way of RUN_IN_SH, nothing on stdin.

    Raises GuestError when ssh itself fails.
    """
    done = subprocess.run(
        argv, input=command.encode(), capture_output=True, timeout=timeout, check=False
    )
    stderr = done.stderr.decode(errors="backslashreplace")
    if done.returncode == 255 and stderr.startswith(_NOT_CONNECTED):
        raise GuestError("no connection to the guest", evidence=stderr.strip())
    return Answer(done.returncode, done.stdout.decode(errors="backslashreplace"), stderr)


def answers(guest: Remote, command: str) -> bool:
    """Whether that command succeeds; a guest that cannot be reached says no."""
    try:
        return guest.sh(command, 2 * CONNECT_LIMIT).exit == 0
    except (GuestError, subprocess.TimeoutExpired):
        return False
