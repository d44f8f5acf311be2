"""The processes of the stand-in, as its process 1 sees them; orphans become its children."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from standin.linux.binaries import KLIBCS
from standin.linux.rootdir import RootDir

PAUSE = 0.002  # seconds between two looks at another process
PATH = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
ENVIRONMENT = {"HOME": "/", "PATH": PATH, "LD_LIBRARY_PATH": "/lib"}
# Process 1 ignores them, and so do all processes that it starts unless they are reset.
RESET = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM)


@dataclass(frozen=True)
class Child:
    pid: int
    ended: asyncio.Future[int]


class Processes:
    def __init__(self, root: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.root = root
        self._loop = loop
        places = f"{Path(KLIBCS).parent}:/usr/sbin:/usr/bin:{PATH}"
        self._chroot = shutil.which("chroot", path=places) or "chroot"
        self._waiting: dict[int, asyncio.Future[int]] = {}
        loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def spawn(
        self,
        rootdir: RootDir,
        argv: Sequence[str],
        env: Mapping[str, str] = ENVIRONMENT,
        output: int | None = None,
    ) -> Child:
        """Start a command in a session of its own, with `output` for its stdout and stderr."""
        null = os.open(os.devnull, os.O_RDWR)
        out = null if output is None else output
        try:
            pid = os.posix_spawn(
                self._chroot,
                ["chroot", str(rootdir.root), *argv],
                dict(env),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((null, 0), (out, 1), (out, 2))
                ],
                setsid=True,
                setsigdef=RESET,
            )
        finally:
            os.close(null)
        ended: asyncio.Future[int] = self._loop.create_future()
        self._waiting[pid] = ended
        return Child(pid, ended)

    async def run(
        self, rootdir: RootDir, argv: Sequence[str], env: Mapping[str, str] = ENVIRONMENT
    ) -> tuple[int, str]:
        """Exit code and output of a command. Waits for the command, not for what it left behind.

        It is killed if nobody waits for it any more.
        """
        place = os.memfd_create("output")
        child = self.spawn(rootdir, argv, env, place)
        try:
            code = await child.ended
            text = os.pread(place, os.fstat(place).st_size, 0)
            return code, text.decode(errors="surrogateescape")
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
        finally:
            os.close(place)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                ended = self._waiting.pop(pid, None)
                if ended is not None and not ended.done():
                    ended.set_result(os.waitstatus_to_exitcode(status))


def all_pids() -> list[int]:
    return sorted(int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit())


# Every command needs these, so they avoid pathlib, which costs as much time as the kernel.


def root_of(pid: int) -> Path | None:
    try:
        return Path(os.readlink(f"/proc/{pid}/root"))  # noqa: PTH115
    except OSError:
        return None


def folder_of(pid: int) -> str:
    """Its working directory, on this machine's side. OSError when the process is gone."""
    return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115


def words_of(pid: int) -> list[str]:
    """Its command line. OSError when the process is gone."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
        return [word.decode(errors="surrogateescape") for word in file.read().split(b"\0")[:-1]]


def stat_of(pid: int) -> tuple[str, int, int]:
    """Name, parent and session of a process; pid 0 stands for outside the stand-in."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            text = file.read()
    except OSError:
        return "", 0, 0
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    return name, int(fields[1]), int(fields[3])


async def stand_still(pid: int) -> None:
    """Stop a process, and wait until it has stopped: right after the signal it may still read."""
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, signal.SIGSTOP)
        while ") T" not in Path(f"/proc/{pid}/stat").read_text():
            if root_of(pid) is None:
                return
            await asyncio.sleep(PAUSE)


def ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        found.append(pid)
        pid = stat_of(pid)[1]
    return found


def end_connections() -> None:
    """Kill every session whose leader came in from outside, but nothing that was detached."""
    sessions = {pid: stat_of(pid) for pid in all_pids()}
    leaders = {
        pid
        for pid, (_, parent, session) in sessions.items()
        if pid != 1 and parent == 0 and session == pid
    }
    for pid, (_, _, session) in sessions.items():
        if session in leaders:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
