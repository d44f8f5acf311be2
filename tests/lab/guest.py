"""A real FreeBSD guest that may break: boots on a throw-away disk, on a wire of its own."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab import accelerator, booted, leftovers, wire
from tests.lab.image import Image
from tests.lab.machine import NIC, Machine

BOOT_LIMIT = 420.0  # seconds; emulated, 30 when nothing else runs and 150 beside two more guests
CONNECT_LIMIT = 15  # seconds; to a guest with half a CPU, sshd's first word takes five
SNAPSHOT = "booted"

# root's shell is csh, which cannot take lines or nested quotes; so what is to run goes to a fresh
# sh as one word by way of stdin, and csh sees only this
RUN_IN_SH = "exec /bin/sh -c 'exec /bin/sh -c \"$(cat)\"'"
STILL_BOOTING = "pgrep -qf '^(/bin/)?sh /etc/[r]c autoboot'"


class GuestError(Exception):
    """The guest did not do what a guest does; the text has the end of its console."""


@dataclass(frozen=True)
class Answer:
    """What a command in the guest gave, byte for byte where it is UTF-8."""

    exit: int
    stdout: str
    stderr: str


class Guest:
    """`with Guest(find_image()) as guest:` has it just booted, and as such saved.

    It leaves nothing behind but a copy of that snapshot for the next one (see booted.py).
    """

    address = wire.GUEST

    def __init__(self, image: Image, memory_mb: int = 1024, cpus: int = 2) -> None:
        self.image = image
        self._memory_mb = memory_mb
        self._cpus = cpus
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            leftovers.sweep()
            scratch = tempfile.TemporaryDirectory(prefix=leftovers.prefix())
            self.scratch = Path(undo.enter_context(scratch))
            self.wire = undo.enter_context(wire.Wire())
            self._machine = Machine(
                self.scratch, self.wire, accelerator.choose(), self._memory_mb, self._cpus
            )
            undo.callback(self._machine.cut_power)
            self._boot_or_go_on()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    def _boot_or_go_on(self) -> None:
        # resolved: who publishes a newer image moves a link, and must not move our disk's ground
        image = self.image.disk.resolve()
        machine = [part.replace(str(self.scratch), "") for part in self._machine.arguments()]
        kept = booted.place(image, machine)
        if kept.exists():
            shutil.copyfile(kept, self._machine.disk)
            self.restore()
            return
        self._machine.lay_disk(image)
        self.boot()
        self.save()
        with self._machine.held():
            booted.keep(self._machine.disk, kept)

    def boot(self, limit: float = BOOT_LIMIT) -> float:
        """Switches it on and waits until rc is through; the seconds that took."""
        began = time.monotonic()
        self._machine.start()
        self.wait_until(lambda: self._answers(f"! {STILL_BOOTING}"), "booted", limit)
        return time.monotonic() - began

    def power_off(self) -> None:
        """Pulls the plug: nothing is shut down, nothing flushed."""
        self._machine.cut_power()

    def save(self, name: str = SNAPSHOT) -> None:
        """Keeps memory and disk as they are now under that name."""
        self._machine.monitor.human(f"savevm {name}")

    def restore(self, name: str = SNAPSHOT) -> None:
        """Makes memory and disk what they were at `save`, link up, and the clock right again."""
        # a new qemu each time: one that had run on came back deaf to its network for 40 seconds
        self._machine.start(paused=True)
        self._machine.monitor.human(f"loadvm {name}")
        self._machine.monitor.execute("cont")
        self.wait_until(lambda: self._answers(f"date -f %s {int(time.time())}"), "restored", 60.0)

    def cut_link(self) -> None:
        """Pulls the network cable; the guest sees its link go down."""
        self._machine.monitor.execute("set_link", name=NIC, up=False)

    def restore_link(self) -> None:
        self._machine.monitor.execute("set_link", name=NIC, up=True)

    def console(self) -> str:
        """The text on the serial console since the machine was last switched on."""
        return self._machine.console()

    def argv(self, *command: str) -> list[str]:
        """That command as it must be started to have the guest on its wire."""
        return self.wire.argv(*command)

    def ssh_argv(self, command: str) -> list[str]:
        """ssh to the guest's root, over a connection that is shared with nobody."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_LIMIT),
            "ControlPath": "none",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.image.known_hosts),
        }
        given = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        who = f"root@{self.address}"
        return self.argv("ssh", "-F", "none", "-i", str(self.image.key), *given, who, command)

    def ssh(self, command: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """That line as a person would type it after `ssh root@guest`: read by root's csh."""
        return subprocess.run(
            self.ssh_argv(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=timeout,
            check=False,
        )

    def sh(self, command: str, timeout: float = 120.0) -> Answer:
        """`/bin/sh -c COMMAND` in the guest, nothing on stdin. Raises GuestError when ssh fails."""
        done = subprocess.run(
            self.ssh_argv(RUN_IN_SH),
            input=command.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        stderr = done.stderr.decode(errors="backslashreplace")
        if done.returncode == 255 and stderr.startswith(("ssh: ", "Connection ", "root@")):
            raise GuestError(f"no connection to the guest: {stderr.strip()}")
        return Answer(done.returncode, done.stdout.decode(errors="backslashreplace"), stderr)

    def wait_until(self, question: Callable[[], bool], what: str, limit: float) -> None:
        """Asks until it is so; GuestError, with the end of the console, when it is not in time."""
        deadline = time.monotonic() + limit
        while not question():
            if not self._machine.runs:
                raise GuestError(f"qemu ended before the guest was {what}: {self._machine.said()}")
            if time.monotonic() > deadline:
                raise GuestError(f"not {what} after {limit} s; console: {self.console()[-2000:]}")
            time.sleep(0.2)

    def _answers(self, command: str) -> bool:
        try:
            return self.sh(command, timeout=2 * CONNECT_LIMIT).exit == 0
        except (GuestError, subprocess.TimeoutExpired):
            return False
