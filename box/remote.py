"""A guest as this machine reaches it, whether it runs under qemu or vagrant."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rollout.errors import Refused
from rollout.host.session import Ssh

CONNECT_LIMIT = 15  # seconds; sshd on a guest with half a CPU takes five to answer

# root's shell is csh, which cannot handle several lines or nested quotes. So the command goes
# through stdin to a new sh, and csh sees only this line.
RUN_IN_SH = "exec /bin/sh -c 'exec /bin/sh -c \"$(cat)\"'"
RC = "^(/bin/)?sh (-o verify )?/etc/[r]c autoboot"
"""rc(8) in ps(1); on 15.0 init(8) gives its sh an option."""
STILL_BOOTING = f"{{ ! pgrep -qx getty && pgrep -qf '{RC}'; }}"
"""sh that succeeds until rc(8) has ended. Then init(8) starts getty(8), if a terminal is on; a part
of rc sleeps for a minute more, to check file systems (rc.d/bgfsck).
"""
_NOT_CONNECTED = ("ssh: ", "Connection ", "root@", "kex_exchange_identification")


class AcceleratorFailed(Refused):
    """The guest stands still: this machine's CPU cannot run its code."""


class GuestError(Refused):
    """The guest did not work as expected; the evidence is the end of its console."""


@dataclass(frozen=True)
class Answer:
    """The result of a command in the guest, byte for byte if it is UTF-8."""

    exit: int
    stdout: str
    stderr: str


class Remote(Protocol):
    """What clients and provisioning need of a guest."""

    scratch: Path

    @property
    def sources(self) -> Sequence[str]:
        """Source addresses for clients, if the network has several."""
        ...

    @property
    def target(self) -> Ssh:
        """The guest, as the engine reaches a host."""
        ...

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        """The address and port by which this machine reaches the guest's port."""
        ...

    def argv(self, *command: str) -> list[str]:
        """The command line that runs this command where the guest can be reached."""
        ...

    def sh(self, command: str, timeout: float = 120.0) -> Answer: ...

    def wait_until(self, question: Callable[[], bool], what: str, limit: float) -> None: ...


def ssh_argv(target: Ssh, command: str) -> list[str]:
    """ssh to the guest's root, over a connection of its own."""
    options = {"ConnectTimeout": str(CONNECT_LIMIT), "LogLevel": "ERROR"}
    more = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    name, *argv = target.argv(command)
    return [name, "-F", "none", *more, *argv]


def sh(argv: Sequence[str], command: str, timeout: float) -> Answer:
    """`/bin/sh -c COMMAND` through RUN_IN_SH, with an empty stdin.

    Raises GuestError if ssh itself fails.
    """
    done = subprocess.run(
        argv, input=command.encode(), capture_output=True, timeout=timeout, check=False
    )
    stderr = done.stderr.decode(errors="backslashreplace")
    if done.returncode == 255 and stderr.startswith(_NOT_CONNECTED):
        raise GuestError("no connection to the guest", evidence=stderr.strip())
    return Answer(done.returncode, done.stdout.decode(errors="backslashreplace"), stderr)


def answers(guest: Remote, command: str) -> bool:
    """Whether the command succeeds. For a guest that cannot be reached, that is false."""
    try:
        return guest.sh(command, 2 * CONNECT_LIMIT).exit == 0
    except (GuestError, subprocess.TimeoutExpired):
        return False
