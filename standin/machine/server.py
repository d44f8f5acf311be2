"""The first process of a booted stand-in: it owns the model and replies to the shims.

A shim writes its pid into the FIFO `calls` and reads one line of sh from its slot, which other
shims may share. The server reads the command line, the directory and the jail from /proc, so that a
shim costs only a start of sh. When this process ends, the kernel kills all other processes of the
stand-in and drops its mounts.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import traceback
from collections import defaultdict
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from standin import commands
from standin.linux import syscalls
from standin.linux.fifos import Channel
from standin.linux.layout import HIDDEN, LONG_LINES, SLOTS, control_place
from standin.linux.processes import (
    PAUSE,
    Processes,
    end_connections,
    folder_of,
    root_of,
    stand_still,
    words_of,
)
from standin.linux.shim import LONGEST_LINE, Call, Failed, Reply, Unknown
from standin.machine.control import answer as answer_control
from standin.model.faults import HELD, Fault
from standin.model.host import Host
from standin.rc.boot import boot

LAST_PID_OF_KERNEL = 500  # a kernel has its own processes before the first daemon
ASKING = "/libexec/standin/asking-sh"
LOOK_AFTER = 0.05
"""Seconds from one look at a caller that waits to the next."""
HANG = "exec /libexec/standin/real/sleep 2147483647"


class Start(NamedTuple):
    """How the host starts: see StandIn."""

    faults: list[Fault]
    delay: float
    single_user: bool


class Server:
    def __init__(self, where: Path, channel: Channel, loop: asyncio.AbstractEventLoop) -> None:
        self.where = where
        self.loop = loop
        self.host = Host(where, Processes(where / "root", loop))
        self.channel = channel
        self._waiting: defaultdict[int, set[int]] = defaultdict(set)  # callers in each slot
        self._answered: dict[int, int] = {}  # the last caller in each slot that got a reply
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        self.loop.add_reader(self.channel.calls, self._read_calls)
        control = control_place(self.where)
        control.unlink(missing_ok=True)
        await asyncio.start_unix_server(self._serve_control, control)

    def _read_calls(self) -> None:
        for pid in self.channel.callers():
            self._take(pid)

    def _take(self, pid: int) -> None:
        slot = pid % SLOTS
        self._waiting[slot] = {each for each in self._waiting[slot] if root_of(each)} | {pid}
        task = self.loop.create_task(self._serve(pid, slot))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, pid: int, slot: int) -> None:
        if self.channel.holds(slot):
            await self._read_apart(slot, self._answered[slot])
            self.channel.forget(slot)
        try:
            line = (await self._answer(pid)).script()
        except (FileNotFoundError, ProcessLookupError):
            line = "exit 1"  # the caller was killed while it waited
        if len(line) > LONGEST_LINE or "\n" in line:
            # sh reads a FIFO byte by byte, but a file in blocks.
            name = f"{HIDDEN}/answers/{pid % LONG_LINES}.sh"
            (self.where / "root" / name).write_text(line, "utf-8", errors="surrogateescape")
            line = f". /{name}"
        if self._waiting[slot] == {pid}:
            self._put(slot, pid, line)
        else:
            await self._read_apart(slot, pid, line)
        self._waiting[slot].discard(pid)

    def _put(self, slot: int, pid: int, line: str) -> None:
        self._answered[slot] = pid
        self.channel.answer(slot, pid, line)

    async def _read_apart(self, slot: int, pid: int, line: str = "") -> None:
        """Let only `pid` read its line: the other shims in its slot are stopped meanwhile."""
        async with self._turns[slot]:
            others = self._waiting[slot] - {pid}
            for each in others:
                await stand_still(each)
            if line:
                self._put(slot, pid, line)
            while self.channel.holds(slot) and root_of(pid):
                await asyncio.sleep(PAUSE)
            for each in others:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)

    async def _answer(self, pid: int) -> Reply:
        call = self._call(pid)
        self.host.note_call(call.line)
        mode = self.host.faults.due(call.line)
        if mode:
            self.host.faults.watch_sh()
        if mode == "power":
            os._exit(0)  # and the kernel kills all others; the caller waits for a reply till then
        if mode == "cut":
            end_connections()
        if mode == "fail":
            return Reply(exit=1, err=f"{call.name}: broken on request\n")
        if mode == "hang":
            return Reply(then=HANG)
        if mode == "hold":
            await self.host.faults.hold()
        reply = await _perform(self.host, call)
        if mode == "fail-after":
            return Reply(then=f"( {reply.script()} ); exit 1")
        if mode == "hold-after":
            return Reply(then=f"( {reply.script()} ); code=$?; {HELD}; exit $code")
        return reply

    def _call(self, pid: int) -> Call:
        words = words_of(pid)[1:]  # without the sh that runs the shim
        if words[0] == ASKING:
            del words[0]
        root = root_of(pid)
        if root is None:
            raise ProcessLookupError
        rootdir = self.host.rootdir_at(root)
        cwd = folder_of(pid).removeprefix(str(root)) or "/"
        return Call((words[0].rpartition("/")[2], *words[1:]), rootdir, pid, cwd)

    async def _serve_control(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                reply = await answer_control(self.host, json.loads(line))
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        writer.close()


async def _while_asked(pid: int, work: Awaitable[Reply]) -> Reply:
    """End the work when its caller ends: whoever kills jail(8) kills what it has begun.

    Raises ProcessLookupError then.
    """
    doing = asyncio.ensure_future(work)
    while not (await asyncio.wait({doing}, timeout=LOOK_AFTER))[0]:
        if root_of(pid) is None:
            doing.cancel()
            with suppress(asyncio.CancelledError):
                await doing
            raise ProcessLookupError
    return doing.result()


async def _perform(host: Host, call: Call) -> Reply:
    """Reply whatever goes wrong; note what the stand-in does not know."""
    try:
        reply = commands.begin(host, call)
        return reply if isinstance(reply, Reply) else await _while_asked(call.pid, reply)
    except Unknown as unknown:
        host.note_strange(f"{call.line}: {unknown}")
        return unknown.reply
    except Failed as failed:
        return failed.reply
    except (FileNotFoundError, ProcessLookupError):
        if call.pid and root_of(call.pid) is None:
            raise
        return _broken(host, call)
    except Exception:
        return _broken(host, call)


def _broken(host: Host, call: Call) -> Reply:
    """Keep a bug of the stand-in from looking like a reply of FreeBSD's."""
    host.note_strange(f"{call.line}: {traceback.format_exc()}")
    return Reply(exit=70, err=f"{call.name}: the stand-in itself failed, see its strange.log\n")


async def _run(where: Path, channel: Channel, ready: int, start: Start) -> None:
    server = Server(where, channel, asyncio.get_running_loop())
    server.host.faults.waiting = start.faults
    await server.listen()
    await boot(server.host, single_user=start.single_user)
    server.host.delay = start.delay
    os.write(ready, b"up\n")
    os.close(ready)
    await asyncio.Event().wait()


def serve(where: Path, channel: Channel, ready: int, start: Start) -> None:
    """Never returns. Writes to `ready` once the host is up."""
    commands.load()
    syscalls.die_with_parent()
    syscalls.make_mounts_private()
    syscalls.mount("proc", Path("/proc"), "proc", 0)
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(LAST_PID_OF_KERNEL))
    os.setsid()
    os.umask(0o022)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_run(where, channel, ready, start))
