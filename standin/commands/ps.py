"""ps(1), pgrep(1) and pkill(1): the real processes, with daemons under their own names."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from standin.commands import command
from standin.etc.passwd import Names
from standin.linux.binaries import SHELL, SHIMS_SHELL
from standin.linux.processes import all_pids, root_of, stat_of, words_of
from standin.linux.rootdir import RootDir
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.daemon import Daemon
from standin.model.host import Host
from standin.model.kernel import Kernel

TITLES = {"pid": "PID", "ppid": "PPID", "command": "COMMAND", "comm": "COMMAND", "args": "COMMAND"}
TITLES |= {"user": "USER", "jail": "JAIL", "jid": "JID", "state": "STAT", "ucomm": "UCOMM"}
TITLES |= {"lstart": "STARTED", "rss": "RSS"}
TITLES |= {"uid": "UID", "pgid": "PGID", "sid": "SID", "etimes": "ELAPSED", "stat": "STAT"}
INIT = 1
WIDTHS = {"pid": 5, "ppid": 5, "jid": 5, "uid": 5, "pgid": 5, "sid": 5}


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    session: int
    user: str
    comm: str
    command: str
    jail: str
    jid: int
    kernel: Kernel

    def age(self) -> int:
        """Seconds since it started; setting the clock does not change them.

        0 for one that has ended since it was listed: ps(1) has all of a process from one moment.
        """
        if self.pid == INIT:
            return self.kernel.uptime()
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return 0
        ticks = int(text.rpartition(")")[2].split()[19])
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))

    def field(self, name: str) -> str:
        if name == "etimes":
            return str(self.age())
        if name == "rss":
            return str(resident(self.pid))
        if name == "lstart":  # moves with the clock, as the kernel's time of the boot does
            return time.strftime("%c", time.gmtime(self.kernel.now() - self.age()))
        known = {
            "pid": self.pid, "ppid": self.parent, "user": self.user, "comm": self.comm,
            "ucomm": self.comm, "command": self.command, "args": self.command,
            "jail": self.jail or "-", "jid": self.jid, "state": "S", "stat": "S", "uid": 0,
            "pgid": self.session, "sid": self.session,
        }  # fmt: skip
        return str(known[name])


def resident(pid: int) -> int:
    """In KiB; 0 for a process that has just ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        status = Path(f"/proc/{pid}/status").read_text()
        if found := re.search(r"VmRSS:\s+(\d+) kB", status):
            return int(found[1])
    return 0


def processes(host: Host, call: Call, pids: Collection[int] | None = None) -> list[Process]:
    """The processes that the caller may see: a jail sees its own. With `pids`, only these."""
    daemons = {daemon.pid: daemon for daemon in host.daemons}
    workers = {pid: daemon for daemon in host.daemons for pid in daemon.worker_pids}
    names = cache(Names)
    found = []
    for pid in all_pids() if pids is None else sorted(set(pids)):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            process = _process(host, call, pid, daemons, workers, names=names)
            found += [process] if process else []
    return found


def _process(
    host: Host,
    call: Call,
    pid: int,
    daemons: dict[int, Daemon],
    workers: dict[int, Daemon],
    *,
    names: Callable[[RootDir], Names],
) -> Process | None:
    if pid == INIT:
        init = Process(INIT, 0, INIT, "root", "init", "/sbin/init", "", 0, host.kernel)
        return None if call.rootdir.name else init
    root = root_of(pid)
    if root is None:
        return None
    rootdir = host.rootdir_at(root)
    jail = host.jail_of(rootdir)
    if call.rootdir.name and rootdir != call.rootdir:
        return None
    comm, parent, session = stat_of(pid)
    words = words_of(pid)
    if words and words[0] in (SHELL, SHIMS_SHELL):
        words[0] = "/bin/sh"
    line = " ".join(words)
    if daemon := daemons.get(pid) or workers.get(pid):
        comm, line = daemon.kind.process, daemon.kind.title or daemon.kind.binary
        user = daemon.kind.user if pid in daemons else daemon.kind.workers[0]
        parent = parent if pid in daemons else daemon.pid  # which forked it
    else:
        user = names(rootdir).user(Path(f"/proc/{pid}").stat().st_uid)
    return Process(
        pid, parent, session, user, comm, line, rootdir.name, jail.jid if jail else 0, host.kernel
    )


@command("/bin/ps")
def ps(host: Host, call: Call) -> Reply:
    columns, pids, jail = ["pid", "state", "command"], None, None
    chosen: list[str] = []  # by -o, which may come more than once
    words = list(call.args)
    while words:
        word = words.pop(0)
        letters = word[1:] if word.startswith("-") else word
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in "aAxwdce":  # no effect here: root sees all
                continue
            if letter == "u":
                columns = ["user", "pid", "state", "command"]
            elif letter == "j":
                columns = ["user", "pid", "ppid", "pgid", "sid", "jid", "state", "command"]
            elif letter in "opJ":
                value = letters or (words.pop(0) if words else "")
                letters = ""
                if letter == "p":
                    pids = [int(one) for one in re.split(r"[, ]+", value) if one.isdigit()]
                elif letter == "J":
                    jail = value
                else:
                    chosen += _columns(value)
            else:
                raise Unknown(
                    f"ps: illegal option -- {letter}\nusage: ps [-aCcdefHhjlmrSTuvwXxZ]\n", 1
                )
    if jail is not None and jail != "0" and host.jail(jail) is None:
        return Reply(exit=1)
    shown = [
        process
        for process in processes(host, call, pids)
        if (jail is None or jail in (process.jail, str(process.jid)))
        and _may_see(host, call, process)
    ]
    return Reply(_table(chosen or columns, shown), exit=0 if shown else 1)


def _may_see(host: Host, call: Call, process: Process) -> bool:
    """With mac_seeotheruids(4), whom chroot -u started sees the processes of its own user alone."""
    uid = host.acting.get(call.pid, 0)
    hidden = host.kernel.sysctls.get("security.mac.seeotheruids.enabled") == "1"
    return not uid or not hidden or host.acting.get(process.pid) == uid


def _columns(value: str) -> list[str]:
    """`pid,ppid` or `pid=`: a title is optional; when all titles are empty, the line is left out.

    A title reaches to the end of the word, commas included: `pid=,ppid=` is one column.
    """
    found = []
    for word in re.findall(r"[^,=]+=.*|[^,=]+", value):
        name, mark, title = word.partition("=")
        if name not in TITLES:
            raise Unknown(f"ps: {name}: keyword not found\n", 1)
        found.append(f"{name}{mark}{title}")
    return found


def _table(columns: list[str], shown: list[Process]) -> str:
    names = [column.partition("=")[0] for column in columns]
    titles = [column.partition("=")[2] if "=" in column else TITLES[column] for column in columns]
    rows = [[process.field(name) for name in names] for process in shown]
    if any(titles):
        rows.insert(0, titles)
    widths = [max((len(row[place]) for row in rows), default=0) for place in range(len(names))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(max(width, WIDTHS.get(name, 0))) if name in WIDTHS else cell.ljust(width)
            for cell, width, name in zip(row, widths, names, strict=True)
        ]
        lines.append(" ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _matching(host: Host, call: Call) -> tuple[list[Process], int]:
    number, exact, full, jail, file = int(signal.SIGTERM), False, False, None, None
    user = None
    words, patterns = list(call.args), []
    while words:
        word = words.pop(0)
        if re.fullmatch(r"-[A-Z][A-Z0-9]+|-\d+", word) and call.name == "pkill":
            name = word[1:].removeprefix("SIG")
            number = int(name) if name.isdigit() else signal.Signals[f"SIG{name}"]
        elif word in ("-x", "-f", "-q", "-l"):
            exact, full = exact or word == "-x", full or word == "-f"
        elif word in ("-j", "-F") and words:
            value = words.pop(0)
            jail, file = (value, file) if word == "-j" else (jail, value)
        elif word == "-U" and words:
            user = words.pop(0)
        elif word.startswith("-"):
            raise Unknown(f"{call.name}: illegal option -- {word[1:]}\n", 2)
        else:
            patterns.append(word)
    if jail not in (None, "none", "any", "0") and host.jail(jail or "") is None:
        raise Failed(f"{call.name}: Invalid jail ID or name `{jail}'\n", 2)
    pid_of_file = (call.rootdir.read(file) or "").strip() if file else None
    found = []
    for process in processes(host, call):
        text = process.command if full else process.comm
        hits = [re.fullmatch(p, text) if exact else re.search(p, text) for p in patterns]
        if (
            process.pid != call.pid
            and (any(hits) or not patterns)
            and _is_in(process, jail)
            and user in (None, process.user)
            and (pid_of_file is None or pid_of_file == str(process.pid))
        ):
            found.append(process)
    return found, number


def _is_in(process: Process, jail: str | None) -> bool:
    """pgrep's -j: "none" is the host alone, and 0, for compatibility, any jail."""
    if jail == "none":
        return process.jid == 0
    if jail in ("any", "0"):
        return process.jid > 0
    return jail is None or jail in (process.jail, str(process.jid))


@command("/bin/pgrep", "/bin/pkill")
def pgrep(host: Host, call: Call) -> Reply:
    found, number = _matching(host, call)
    if call.name == "pgrep":
        quiet = "-q" in call.args
        return Reply("" if quiet else "".join(f"{p.pid}\n" for p in found), exit=0 if found else 1)
    if any(process.pid == INIT for process in found):
        raise Unknown("pkill: what a signal to init does is not known to the stand-in\n", 1)
    for process in found:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            raise Failed(f"pkill: signalling pid {process.pid}: No such process\n") from None
    return Reply(exit=0 if found else 1)
