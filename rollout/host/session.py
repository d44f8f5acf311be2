"""The session with the host: the only module that knows ssh, and connects pyinfra and testinfra."""

from __future__ import annotations

import os
import re
import secrets
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from shlex import quote
from typing import IO, Any, NoReturn, Protocol, Self

import testinfra.host
from pyinfra.api.facts import FactBase
from pyinfra.context import ctx_host
from testinfra.backend.base import BaseBackend, CommandResult

from rollout.errors import CellblockError, Refused, Unreachable
from rollout.host.together import Result, Together

CONNECT_WITHIN = 30
"""Seconds for ssh to connect."""
LIMIT = 120.0
"""Seconds that a command may take, unless its caller knows better."""

Said = Mapping[str, Result | Exception]
"""What was said to each of some questions, or why there is no answer."""


class Target(Protocol):
    """A host to connect to. `shell` opens a new connection to a POSIX sh that reads its stdin."""

    @property
    def name(self) -> str: ...

    def shell(self) -> subprocess.Popen[bytes]: ...


BECOME = {"doas": "doas -n", "sudo": "sudo -n --", "mdo": "mdo -- env HOME=/root"}
"""How a login that is not root's gets root's sh: never with a question for a password. mdo(1)
leaves the environment as it is, and clients of databases look for their settings in HOME."""


@dataclass(frozen=True)
class Ssh:
    """A live host, by OpenSSH's own client, so that ~/.ssh/config, agents and jump hosts work.

    Never multiplexed: a shared connection would not prove that a new login works. `become` is one
    of BECOME, for a login that is not root's.
    """

    address: str
    user: str = "root"
    port: int = 22
    key: Path | None = None
    known_hosts: Path | None = None
    become: str | None = None
    known_as: str | None = None  # its name in known_hosts, if the address is a forwarded port's

    @property
    def name(self) -> str:
        return f"{self.user}@{self.address}"

    def sh(self) -> list[str]:
        """The command line of a sh on the host, as root."""
        become = BECOME[self.become].split() if self.become else []
        return self.argv(*become, "/bin/sh")

    def argv(self, *command: str) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_WITHIN),
            "ControlMaster": "no",
            "ControlPath": "none",
            "ServerAliveCountMax": "3",
            "ServerAliveInterval": "5",
            "StrictHostKeyChecking": "yes",
        }
        if self.known_hosts:
            options["UserKnownHostsFile"] = _one_word(str(self.known_hosts))
        if self.known_as:
            options["HostKeyAlias"] = self.known_as
        argv = ["ssh", "-T", "-p", str(self.port), "-l", self.user]
        argv += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        if self.key:
            argv += ["-i", str(self.key), "-o", "IdentitiesOnly=yes"]
        return [*argv, self.address, *command]

    def shell(self) -> subprocess.Popen[bytes]:
        return _popen(self.sh())


def _one_word(path: str) -> str:
    """A path in a value that ssh_config(5) splits at spaces, and in which it replaces tokens."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _popen(argv: list[str]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    except OSError as error:
        raise Refused(
            f"{argv[0]} cannot be started on this machine: {error.strerror}",
            todo="install OpenSSH's client, and see that it is in your PATH",
        ) from None


def _pipes(shell: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    if shell.stdin is None or shell.stdout is None or shell.stderr is None:
        raise ValueError("a target's shell must have a pipe for each of stdin, stdout and stderr")
    return shell.stdin, shell.stdout, shell.stderr


@dataclass
class _Begun:
    """Questions whose answers nobody has waited for yet. `limit` is in seconds, for each."""

    questions: Sequence[str]
    limit: float
    answers: Said | None = None


class _Lines:
    """Tells the lines of one of several commands as they come."""

    def __init__(self, mark: str, line: Callable[[str], None], told: int) -> None:
        self._mark = mark
        self._line = line
        self._before = told  # commands that have to end first
        self._start = 0

    def report(self, data: bytearray) -> None:
        """Tell each whole line that has come since the last time."""
        end = data.rfind(b"\n", self._start)
        for row in data[self._start : end + 1].decode(errors="replace").split("\n"):
            if row.startswith(self._mark):
                self._before -= 1
            elif row and self._before == 0:
                self._line(row)
        self._start = max(self._start, end + 1)


class Session:
    """One connection with one shell on the host, which runs one command after the other.

    After each command the shell prints a marker on both pipes. So a session costs one ssh channel,
    however many commands it runs. `trips` counts them.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.trips = 0
        self._connected = False
        self._greeted = False
        self._begun: _Begun | None = None
        self._mark = f"--{secrets.token_hex(12)}"
        self._shell = target.shell()
        self._in, self._out, self._err = _pipes(self._shell)
        self._ready = selectors.DefaultSelector()
        for pipe in (self._out, self._err):
            os.set_blocking(pipe.fileno(), False)
            self._ready.register(pipe, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        return self._shell.poll() is None

    def close(self) -> None:
        try:
            self._in.close()
            self._shell.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self._shell.kill()
            self._shell.wait()
        self._ready.close()
        self._out.close()
        self._err.close()

    def run(
        self, command: str, *, limit: float = LIMIT, line: Callable[[str], None] | None = None
    ) -> Result:
        """Run sh text and wait for its end, `limit` seconds at most.

        `line` is called with each line of stdout as it comes. Raises Unreachable if the connection
        ends, or the command does not end within the limit.
        """
        [result] = self.run_all([command], limit=limit, line=line)
        return result

    def run_all(
        self,
        commands: Sequence[str],
        *,
        limit: float = LIMIT,
        line: Callable[[str], None] | None = None,
        told: int = 0,
    ) -> list[Result]:
        """Run one after the other, whether they succeed or not, in one round trip.

        `limit` is for each of them. `line` hears of the one with the number `told`, from 0 on.
        """
        if not self._greeted:  # what a login prints before its first command is no command's
            self._greeted = True
            return self.run_all([":", *commands], limit=limit, line=line, told=told + 1)[1:]
        with self._uninterrupted():
            self._settle()
            self._start(commands)
            return self._ended(len(commands), limit, line and _Lines(self._mark, line, told))

    def begin(self, questions: Sequence[str], *, limit: float = LIMIT) -> Callable[[], Said]:
        """Ask, and do not wait. What is returned waits, and has what was said to each question.

        A command that is run meanwhile waits for them, too.
        """
        if not self._greeted:
            self.run(":")
        with self._uninterrupted():
            self._settle()
            self._begun = begun = _Begun(questions, limit)
            if questions:
                self._start(questions)

        def waited() -> Said:
            if begun is self._begun:
                with self._uninterrupted():
                    self._settle()
            if begun.answers is None:  # the connection was lost meanwhile
                self._lost(b"")
            return begun.answers

        return waited

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """^C ends the connection: the next command would read this one's output as its own."""
        try:
            yield
        except KeyboardInterrupt:
            self._in.close()
            self._shell.kill()
            raise

    def _settle(self) -> None:
        """Wait for the answers to what was begun."""
        begun, self._begun = self._begun, None
        if begun is not None:
            ended = self._ended(len(begun.questions), begun.limit) if begun.questions else []
            begun.answers = dict(zip(begun.questions, ended, strict=True))

    def _start(self, commands: Sequence[str]) -> None:
        self.trips += 1
        # One line: the shell has read all of it before it prints, so neither side waits for the
        # other. In subshells, so that `exit` and `cd` affect one command only; without stdin, so
        # that it cannot read the next; with LC_ALL=C, whatever locale the login sets.
        text = "; ".join(
            f"( export LC_ALL=C; eval {quote(each)} ) </dev/null; "
            f"printf '\\n{self._mark} %s\\n' $?; printf '\\n{self._mark}\\n' >&2"
            for each in commands
        )
        self._send(f"{text}\n")

    def _ended(self, count: int, limit: float, lines: _Lines | None = None) -> list[Result]:
        """The results of so many commands that were started."""
        out, err, ends = self._read(count, limit, lines)
        self._connected = True
        outs = re.split(rf"\n{self._mark} (\d+)\n", out)
        took = [end - start for start, end in pairwise(ends)]
        return [
            Result(int(code), body, said, seconds)
            for body, code, said, seconds in zip(
                outs[:-1:2], outs[1::2], err.split(f"\n{self._mark}\n")[:-1], took, strict=True
            )
        ]

    @property
    def known(self) -> Mapping[str, Result]:
        """Answers that need no round trip: a survey's (rollout/host/replay.py)."""
        return {}

    def ask_all(self, commands: Sequence[str]) -> Sequence[Result | CellblockError]:
        """The same for questions that do not depend on each other; one may have no answer."""
        return self.run_all(commands)

    def output(self, command: str, *, limit: float = LIMIT) -> str:
        """The stdout of a command that must succeed."""
        result = self.run(command, limit=limit)
        if result.code != 0:
            raise Refused(
                f"a command failed on {self.target.name} (exit {result.code})",
                evidence=f"{command[:500]}\n{result.err}",
            )
        return result.out

    def _send(self, text: str) -> None:
        try:
            self._in.write(text.encode(errors="surrogateescape"))
            self._in.flush()
        except (OSError, ValueError):  # ValueError: we closed it ourselves
            self._lost(b"")

    def _read(self, count: int, limit: float, lines: _Lines | None) -> tuple[str, str, list[float]]:
        """Both outputs with `count` marks; when it began, and when each command had ended."""
        got = {self._out: bytearray(), self._err: bytearray()}
        marks = dict.fromkeys(got, 0)
        mark = self._mark.encode()
        ends = [time.monotonic()]
        while not all(marks[pipe] == count and data[-1:] == b"\n" for pipe, data in got.items()):
            left = ends[-1] + limit - time.monotonic()
            ready = self._ready.select(timeout=left) if left > 0 else []
            if not ready:
                self._lost(b"the limit was reached before the command ended")
            for key, _ in ready:
                pipe: Any = key.fileobj
                data = os.read(pipe.fileno(), 65536)
                if not data:
                    self._lost(bytes(got[self._err]))
                begun = max(0, len(got[pipe]) - len(mark) + 1)  # a mark may have come in part
                got[pipe] += data
                marks[pipe] += got[pipe].count(mark, begun)
            ends += [time.monotonic()] * (marks[self._out] + 1 - len(ends))
            if lines is not None:
                lines.report(got[self._out])
        # Not "replace": facts are compared byte for byte.
        out, err = (data.decode(errors="surrogateescape") for data in got.values())
        return out, err, ends

    def _lost(self, err: bytes) -> NoReturn:
        self._shell.kill()
        rest = b"" if self._err.closed else self._err.read() or b""
        text = (err + rest).decode(errors="replace")
        lines = [row for row in text.split("\n") if row.strip() and not row.startswith("--")]
        raise _unreachable(self.target.name, "\n".join(lines), connected=self._connected)


# In this order: sudo may say before its own error that it cannot resolve a name, and a host key or
# a lost connection ends ssh before it tries to log in.
_SSH_SAYS = (
    (
        r"^(doas|sudo|mdo): |\b(doas|sudo|mdo): (command )?not found|"
        r"(unknown command|command not found): (doas|sudo|mdo)\b",
        "the login worked, but [host] become was refused: no root without a password",
        "let this user run /bin/sh as root (docs/commands.md): in doas.conf "
        "`permit nopass USER as root cmd /bin/sh`, or in sudoers "
        "`USER ALL=(root) NOPASSWD: /bin/sh`",
    ),
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed",
        "the host key has changed: known_hosts has another one",
        "compare the fingerprint on the server's console (ssh-keygen -lf "
        "/etc/ssh/ssh_host_ed25519_key.pub); only if it is right, remove the old key from "
        "known_hosts ([host] known_hosts) by ssh-keygen -R, and add the new one",
    ),
    (
        r"Host key verification failed|host key is known",
        "the host key is unknown",
        "log in once by ssh on your own, compare the fingerprint with the one on the server's "
        "console, and say yes; or see [host] known_hosts",
    ),
    (
        r"Could not resolve|Name or service not known|nodename nor servname",
        "the host name cannot be resolved",
        "see [host] address",
    ),
    (
        r"Connection refused",
        "the connection was refused: nothing listens on that port",
        "see [host] address and port, and that sshd runs",
    ),
    (
        r"timed out|No route|unreachable",
        "the host does not answer",
        "see [host] address and port, that the server is up, and its firewall",
    ),
    (
        r"Load key|Identity file|UNPROTECTED PRIVATE KEY",
        "ssh refused the login, and could not use the private key",
        "see [host] key: expected an OpenSSH private key that you alone may read",
    ),
    (
        r"Permission denied|Too many authentication failures",
        "ssh refused the login: authentication was denied",
        "see [host] user and key, your ssh-agent (ssh-add -l), and sshd's PermitRootLogin",
    ),
)


def _unreachable(name: str, stderr: str, *, connected: bool) -> Unreachable:
    """`connected`: the connection had worked, so `stderr` may be a command's and not ssh's."""
    for pattern, what, todo in _SSH_SAYS:
        if not connected and re.search(pattern, stderr, re.IGNORECASE | re.MULTILINE):
            return Unreachable(f"{name}: {what}", evidence=stderr, todo=todo)
    return Unreachable(f"{name}: the connection ended", evidence=stderr)


IN_JAILS = (
    'jexec() { timeout -k 5 40 jexec "$@"; }; '
    'sysrc() { case $1 in -j) timeout -k 5 20 sysrc "$@" ;; *) command sysrc "$@" ;; esac; }; '
    'service() { case $1 in -j) timeout -k 5 20 service "$@" ;; '
    '*) command service "$@" ;; esac; }; '
)
"""sh by which what a check runs in a jail ends there: a jail's root can put a FIFO in the place of
rc.conf or of an rc script, and all checks would wait with this one until the connection is given
up. Some wait half a minute in a jail for a message.
"""


class SessionBackend(BaseBackend):  # type: ignore[misc] # testinfra ships no types
    """testinfra through a Session, so that all checks of a step share its one channel.

    testinfra's own ssh backend opens a channel per command, and multiplexes them for 60 s.
    """

    NAME = "cellblock"

    def __init__(self, session: Session) -> None:
        super().__init__(session.target.name)
        self._encoding = "utf-8"
        self.session = session
        self.together = Together(self._ask_all)

    def _ask_all(self, commands: Sequence[str]) -> Sequence[Result | CellblockError]:
        return self.session.ask_all([IN_JAILS + each for each in commands])

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        text = self.quote(command, *args)
        result = self.together.ask(text)
        return self.result(result.code, text.encode(), result.out, result.err)


class _Host(testinfra.host.Host):  # type: ignore[misc] # testinfra ships no types
    """testinfra's host; a failed command is reported as a sentence, not as a CommandResult."""

    def run_expect(self, expected: list[int], command: str, *args: str, **more: Any) -> Any:
        out = self.run(command, *args, **more)
        if out.rc not in expected:
            line = self.backend.quote(command, *args)
            printed = (out.stderr or out.stdout).strip() or "it prints nothing"
            wanted = " or ".join(map(str, expected))
            raise AssertionError(f"{printed} (exit code {out.rc}, expected {wanted}, of `{line}`)")
        return out

    def check_output(self, command: str, *args: str, **more: Any) -> str:
        return str(self.run_expect([0], command, *args, **more).stdout).rstrip("\r\n")


@lru_cache(maxsize=1)
def testinfra_host(session: Session) -> testinfra.host.Host:
    """testinfra's host for a session, cached: it detects the kind of system only once."""
    backend = SessionBackend(session)
    host = _Host(backend)
    backend.set_host(host)
    return host


Answers = dict[str, list[str]]
"""The command of a fact (sh) -> the lines that it printed."""


class _FactHost:
    """Takes the place of pyinfra's host while an operation yields its commands.

    It answers facts from one batch, and records which were requested. Without answers it returns
    each fact's default.
    """

    def __init__(self, answers: Answers | None) -> None:
        self._answers = answers
        self.commands: list[str] = []
        self.requested: list[tuple[type[FactBase[Any]], dict[str, Any]]] = []

    def get_fact(self, fact: type[FactBase[Any]], **arguments: Any) -> Any:
        line = str(fact().command(**arguments))
        self.commands.append(line)
        self.requested.append((fact, arguments))
        if self._answers is None:
            return fact.default()
        try:
            return fact().process(self._answers[line])
        except (ValueError, IndexError) as error:
            raise Refused(
                f"the host's answer to the fact {fact.__name__} cannot be read: {error}",
                evidence="\n".join([line, *self._answers[line][:20]]),
            ) from None

    def noop(self, description: str) -> None:
        """Ignored: an operation with nothing to do yields no command, and needs no undo."""


@contextmanager
def facts_from(answers: Answers | None) -> Iterator[_FactHost]:
    """Within this context, pyinfra operations get their facts from these answers."""
    host = _FactHost(answers)
    with ctx_host.use(host):
        yield host
