"""The control process of a stand-in: it installs the tree, and has the power switch.

It runs as a process of its own, with all modules loaded, so that a boot costs only a fork. It reads
one JSON object per line on stdin and replies with one; the end of stdin pulls the plug.
"""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from standin.linux import syscalls
from standin.linux.fifos import Channel
from standin.linux.layout import LIGHT
from standin.linux.power_loss import LOG, tear
from standin.machine.install import lay
from standin.machine.server import Start, serve
from standin.model import hardware
from standin.model.faults import Fault
from standin.samples.base_host import BaseHost

BOOT_SECONDS = 120
COLLECTED_AFTER = 100_000
"""Objects until Python looks for cycles, of which the model makes few."""
FOLDERS_MADE = ("root", "dev", *hardware.FOLDERS_MADE)
FILES_MADE = (LIGHT, "console.log", "calls.log", "strange.log", LOG, *hardware.FILES_MADE)


class Machine:
    def __init__(self, where: Path) -> None:
        self.where = where
        self.box = 0
        self.first = 0
        self.laid = 0.0

    def build(self, base: BaseHost, *, light: bool) -> dict[str, Any]:
        """Never overwrites foreign files: the caller must clear the directory first."""
        lay(self.where, base, light=light)
        self.laid = time.time()
        return {}

    def clear(self) -> dict[str, Any]:
        self.off()
        for name in FOLDERS_MADE:
            shutil.rmtree(self.where / name, ignore_errors=True)
        for name in FILES_MADE:
            (self.where / name).unlink(missing_ok=True)
        return {}

    def boot(self, start: Start) -> dict[str, Any]:
        """Replies with the pid of the first process, or 0 when the power failed during the boot."""
        self.off()
        self.first = 0
        report, tell = os.pipe()
        gc.freeze()  # garbage collection in the child then copies no page of the modules
        self.box = os.fork()
        if self.box == 0:
            os.close(report)
            _enter(self.where, tell, start)
        os.close(tell)
        self.first, up = told(report)
        os.close(report)
        return {"pid": self.first if up else 0}

    def off(self, *, torn: bool = False) -> dict[str, Any]:
        if self.box:
            # The first process goes before the process that waits for it, see Channel.
            with suppress(ProcessLookupError):
                os.kill(self.first or self.box, signal.SIGKILL)
            os.waitpid(self.box, 0)
            self.box = 0
            if torn:
                return {"torn": tear(self.where, self.laid)}
        return {}


def told(report: int) -> tuple[int, bool]:
    """The pid of the first process, and whether it is up. Two processes write there, and the one
    that tells the pid may be the later of them on a busy machine.
    """
    lines = [_line(report), _line(report)]
    return int(next(filter(str.isdigit, lines), "0")), "up" in lines


def _line(report: int) -> str:
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([report], [], [], BOOT_SECONDS)
        byte = os.read(report, 1) if ready else b""
        if not byte:
            return ""
        text += byte
    return text.decode().strip()


def _enter(where: Path, tell: int, start: Start) -> None:
    """In the child: enter new namespaces, and run the server there as process 1."""
    try:
        syscalls.die_with_parent()
        _quiet(where)
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        channel = Channel.open(where)
        first = os.fork()
        if first == 0:
            serve(where, channel, tell, start)
        os.write(tell, f"{first}\n".encode())
        os.close(tell)
        os.waitpid(first, 0)
    except Exception:
        traceback.print_exc()  # on the console
    finally:
        os._exit(0)


def _quiet(where: Path) -> None:
    console = os.open(where / "console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (console, 1), (console, 2)):
        os.dup2(source, target)


def main() -> None:
    gc.set_threshold(COLLECTED_AFTER)
    machine = Machine(Path(sys.argv[1]))
    try:
        for line in iter(sys.stdin.readline, ""):
            wish = json.loads(line)
            match wish.pop("do"):
                case "build":
                    answer = machine.build(BaseHost.from_dict(wish["base"]), light=wish["light"])
                case "clear":
                    answer = machine.clear()
                case "boot":
                    faults = [Fault(**fault) for fault in wish["faults"]]
                    answer = machine.boot(Start(faults, wish["delay"], wish["single_user"]))
                case _:
                    answer = machine.off(torn=bool(wish.get("torn")))
            print(json.dumps(answer), flush=True)
    finally:
        machine.off()


if __name__ == "__main__":
    main()
