"""`StandIn`, the interface for callers: build, boot, run commands, inject faults, stop."""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import tty
from pathlib import Path
from typing import Any

from standin.linux.layout import control_place
from standin.linux.processes import PATH
from standin.model.faults import Fault, Mode
from standin.samples.base_host import BaseHost

REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENT = {
    "HOME": "/root",
    "USER": "root",
    "PATH": f"{PATH}:/root/bin",
    "LD_LIBRARY_PATH": "/lib",
}
DOWN = "echo 'standin: the host is down' >&2; exit 255"


class HostDown(Exception):
    """The stand-in is not running, so it cannot reply."""


class QueryFailed(Exception):
    """No database answered there, or it refused the statement."""


class StandIn:
    """One look-alike host. Use `build`, then `boot`; `stop` when done (or as a context manager)."""

    def __init__(self, where: Path, machine: subprocess.Popen[str], *, light: bool = False) -> None:
        self.where = where
        self.root = where / "root"
        self.name = f"stand-in {where}"
        self.control = control_place(where)
        self.delay = 0.02  # seconds that a daemon takes to start or stop, from the next boot on
        self._machine = machine
        self._light = light
        self._pid = 0
        self._pending: list[Fault] = []
        self._shells: list[subprocess.Popen[bytes]] = []

    @classmethod
    def build(cls, where: Path, base: BaseHost, *, light: bool = False) -> StandIn:
        """Install a fresh base host in the new directory `where`; the power is off.

        A `light` one runs thousands of commands for less CPU, where klibc is installed: its /bin/sh
        is the shims' (it has neither `trap ... EXIT` nor ulimit), its fsync(1) does not record what
        a power cut would lose, and its random devices give zeros.
        """
        where = where.resolve()
        where.mkdir(parents=True, exist_ok=True)
        machine = subprocess.Popen(
            [*_namespace(), sys.executable, "-S", "-m", "standin.machine", str(where)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            start_new_session=True,
        )
        standin = cls(where, machine, light=light)
        standin._install(base)
        return standin

    def rebuild(self, base: BaseHost) -> None:
        """Power off, delete the tree and install another: far cheaper than a new stand-in."""
        self._pid = 0
        self._pending = []
        self._request({"do": "clear"})
        self._collect_shells()
        self._install(base)

    def _install(self, base: BaseHost) -> None:
        self._request({"do": "build", "base": base.as_dict(), "light": self._light})

    def boot(self, *, single_user: bool = False) -> None:
        """Boot from the files on disk. Returns when rc(8) has ended, or the power failed again.

        In single-user mode rc(8) does not run: no service, address or rule is there.
        """
        faults = [fault.as_dict() for fault in self._pending]
        wish = {"do": "boot", "faults": faults, "delay": self.delay}
        wish |= {"single_user": single_user}
        self._pid = self._request(wish)["pid"]
        self._pending = []

    def power_off(self, *, torn: bool = False) -> list[str]:
        """Pull the plug: processes, mounts and the model are gone, the files stay as they are.

        `torn`: files also lose the tails that neither an fsync nor the syncer has written to disk
        (linux/power_loss.py); returns their names.
        """
        cut: list[str] = self._request({"do": "off", "torn": torn}).get("torn", [])
        self._pid = 0
        self._collect_shells()
        return cut

    def stop(self) -> None:
        """Stop for good. The tree stays for inspection until `where` is deleted."""
        if self._machine.poll() is None:
            self._machine.communicate()
        self.control.unlink(missing_ok=True)
        self._pid = 0
        self._collect_shells()

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def is_up(self) -> bool:
        return self._pid > 0 and Path(f"/proc/{self._pid}/root").exists()

    def shell(self) -> subprocess.Popen[bytes]:
        """A new connection: sh as root, reading commands. Exits with 255 when the host is down."""
        return self._shell(subprocess.PIPE)

    def terminal(self) -> subprocess.Popen[bytes]:
        """The same for a person: its stdin is a terminal without echo."""
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        shell = self._shell(theirs)
        os.close(theirs)
        shell.stdin = os.fdopen(ours, "wb", buffering=0)
        return shell

    def _shell(self, stdin: int) -> subprocess.Popen[bytes]:
        argv = ["/bin/sh", "-c", DOWN]
        if self.is_up:
            argv = [*self._enter(), "setsid", "chroot", str(self.root), "/bin/sh"]
        pipe = subprocess.PIPE
        shell = subprocess.Popen(argv, stdin=stdin, stdout=pipe, stderr=pipe, env=ENVIRONMENT)
        self._shells = [old for old in self._shells if old.poll() is None] + [shell]
        return shell

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run one command over a connection of its own."""
        shell = self.shell()
        out, err = shell.communicate(command.encode() + b"\n")
        return subprocess.CompletedProcess(
            command,
            shell.returncode,
            out.decode(errors="surrogateescape"),
            err.decode(errors="surrogateescape"),
        )

    def who_answers(
        self,
        address: str,
        port: int = 0,
        proto: str = "tcp",
        source: str = "outside",
        *,
        sender: str = "",
    ) -> str | None:
        """The owner of the daemon that a client would reach: "host", a jail's name, or None.

        `source` is "outside", "host", a jail's name, or a client's address outside. A path instead
        of an address means the unix socket there, as seen from `source`. `sender` is the address
        that it sends from, where it has several and that is not the first.
        """
        if not self.is_up:
            return None
        question = {"address": address, "port": port, "proto": proto, "source": source}
        question["sender"] = sender
        owner: str | None = self._ask({"ask": "who_answers", **question})["answer"]
        return owner

    def certificate(self, address: str, port: int, source: str = "outside") -> str | None:
        """The certificate (PEM) that a TLS client gets; None when it gets none."""
        question = {"address": address, "port": port, "proto": "tcp", "source": source}
        found: str | None = self._ask({"ask": "certificate", **question})["answer"]
        return found

    def given(self, address: str, port: int) -> int | None:
        """Bytes that a client outside reads behind this port from the `nc -l` that waits on the
        host; None while none waits.
        """
        count: int | None = self._ask({"ask": "given", "address": address, "port": port})["answer"]
        return count

    def sent(self, port: int) -> int | None:
        """Bytes that an nc sent to this port of an outside server; None before it tried. Reading
        the number resets it."""
        count: int | None = self._ask({"ask": "sent", "port": port})["answer"]
        return count

    def query(
        self, statement: str, address: str, port: int = 3306, source: str = "outside"
    ) -> list[str]:
        """Run a statement on the database that answers there; returns the lines of its result.

        `INSERT INTO rows VALUES ('x')` is durable when this returns; `SELECT * FROM rows` lists
        them all. Raises QueryFailed when no database answers.
        """
        if not self.is_up:
            raise QueryFailed("the host is down")
        where = {"address": address, "port": port, "source": source}
        answer = self._ask({"ask": "query", "statement": statement, **where})
        if "error" in answer:
            raise QueryFailed(answer["error"])
        lines: list[str] = answer["answer"]
        return lines

    def break_at(self, pattern: str, nth: int = 1, mode: Mode = "fail") -> None:
        """Make the nth command whose line fits the fnmatch pattern go wrong, once.

        The line is the bare name and the arguments as sh would quote them (shlex.join). Only
        FreeBSD's own commands and `sh ...` can be matched. fail: exit 1 without running.
        fail-after: runs, then exit 1. hang: never returns. cut: all connections end before it
        runs. power: the host is off before it runs. hold: waits for `release` and then runs;
        hold-after: runs, then waits; one command is held at a time, and `held` waits for that. Set
        while the host is down, the fault is in force from the first line of the boot.
        """
        fault = Fault(pattern, nth, mode)
        if self.is_up:
            self._ask({"ask": "break_at", "fault": fault.as_dict()})
        else:
            self._pending.append(fault)

    def cut(self) -> None:
        """The network fails: every open shell ends, with all processes not detached from it."""
        if self.is_up:
            self._ask({"ask": "cut"})
        self._collect_shells()

    def held(self, seconds: float = 30) -> bool:
        """Wait until a command is held (see `break_at`); False when none is after that time."""
        came: bool = self._ask({"ask": "held", "seconds": seconds})["answer"]
        return came

    def release(self) -> None:
        """Let the held command continue."""
        self._ask({"ask": "release"})

    def kill(self, pattern: str) -> int:
        """kill -9 every process whose command line fits the fnmatch pattern; returns how many."""
        killed: int = self._ask({"ask": "kill", "pattern": pattern})["answer"]
        return killed

    def says(self, *argv: str) -> str:
        """The output of one of FreeBSD's own commands, from the model: no process is started."""
        words: str = self._ask({"ask": "says", "argv": list(argv)})["answer"]
        return words

    @property
    def strange(self) -> list[str]:
        """Commands and options that the stand-in did not know, since it was built."""
        return self._log("strange.log")

    @property
    def calls(self) -> list[str]:
        """Every command line that a shim passed to the model, since it was built."""
        return self._log("calls.log")

    def _log(self, name: str) -> list[str]:
        place = self.where / name
        return place.read_text(errors="surrogateescape").splitlines() if place.exists() else []

    def _enter(self) -> list[str]:
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        return [_tool("nsenter"), "-t", str(self._pid), "-m", "-p", *user]

    def _collect_shells(self) -> None:
        for shell in self._shells:
            shell.wait()
        self._shells = []

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._machine.stdin, self._machine.stdout
        if stdin is None or stdout is None or self._machine.poll() is not None:
            raise HostDown(f"{self.name}: stopped")
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise HostDown(f"{self.name}: its control process ended, see {self.where}/console.log")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.control))
            except OSError as error:
                raise HostDown(f"{self.name}: {error}") from None
            connection.sendall(json.dumps(question).encode() + b"\n")
            line = connection.makefile("r").readline()
        if not line:
            raise HostDown(f"{self.name}: the power failed")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _tool(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{PATH}") or name


def _namespace() -> list[str]:
    """The command that makes an unprivileged user root in a new user namespace."""
    if os.geteuid() == 0:
        return []
    return [_tool("unshare"), "--user", "--map-root-user", *_more_uids()]


def _more_uids() -> list[str]:
    return ["--map-auto"] if shutil.which("newuidmap") else []
