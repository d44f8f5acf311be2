"""What daemons use on their host: asked of all running ones at once, and of their rc variables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from pyinfra.api.facts import FactBase

from operations import rc
from operations.command import one_line


class Need(NamedTuple):
    """`kind` is path, folder (a directory that has to be there before), log (a file that the
    daemon's user writes in /var/log itself), working directory, variable, socket, port, served port
    or connection (to another host); `what` its name.

    A port's is PROTO ADDRESS:PORT. `said` is where it is said: a line of a file, or the command
    that shows it. `written` is a path that is open for writing.
    """

    kind: str
    what: str
    said: str
    written: bool = False


class Open(NamedTuple):
    """What a process has open, by a row of procstat -f; `name` is "-" where the kernel knows none.

    `type` is v for a file, whose kind is `vnode` (r, d, c ...), f for a fifo, and s for a socket of
    `proto` (usr.bin/procstat/procstat_files.c); `flags` has a w where it is open for writing.
    """

    pid: str
    command: str
    fd: str
    type: str
    vnode: str
    flags: str
    proto: str
    name: str

    @property
    def said(self) -> str:
        return f"procstat -f {self.pid} ({self.command}, {self.fd})"


class Listener(NamedTuple):
    """A socket at which a process listens; `proto` as sockstat prints it: tcp or udp with 4, 6, 46.

    `address` is * for any.
    """

    pid: str
    command: str
    proto: str
    address: str
    port: int

    @property
    def at_loopback(self) -> bool:
        """Whether it answers at 127.0.0.1."""
        return "4" in self.proto and (self.address == "*" or self.address.startswith("127."))

    @property
    def for_others(self) -> bool:
        """Whether other machines can reach it."""
        address = self.address.partition("%")[0]
        return address == "*" or not ip_address(address).is_loopback

    @property
    def said(self) -> str:
        at = f"{self.address}:{self.port}/{self.proto}"
        return f"sockstat -46l ({self.command} {self.pid} listens at {at})"


@dataclass(frozen=True)
class Running:
    """The daemons behind some ports, with the processes that descend from them.

    `sockets` are the lines of sockstat -46lq on the host, `unix` the process and path of each local
    socket that somebody listens at. `first` has each process with the one that it descends from,
    `scripts` the rc scripts that were asked about with the process of each, and `led` where a path,
    itself or on its way, is a symbolic link: the path, and what it is. `new` are the processes that
    have not run for a minute.
    """

    sockets: tuple[str, ...] = ()
    unix: tuple[tuple[str, str], ...] = ()
    first: tuple[tuple[str, str], ...] = ()
    opened: tuple[Open, ...] = ()
    led: tuple[tuple[str, str], ...] = ()
    scripts: tuple[tuple[str, str], ...] = ()
    new: tuple[str, ...] = ()

    def processes(self, ports: Iterable[int], scripts: Iterable[str] = ()) -> tuple[str, ...]:
        """Those that listen on these ports, those of rc scripts, and their descendants."""
        listen = {each.pid for each in self.listening() if each.port in ports}
        started = {pid for script, pid in self.scripts if script in scripts}
        return tuple(pid for pid, first in self.first if first in listen | started)

    @property
    def passing(self) -> frozenset[str]:
        """New processes that run another program than the daemon that they descend from."""
        programs = {each.pid: each.name for each in self.opened if each.fd == "text"}
        first = dict(self.first)
        return frozenset(
            pid
            for pid in self.new
            if pid in programs and programs[pid] != programs.get(first[pid], programs[pid])
        )

    def of(self, ports: Iterable[int], scripts: Iterable[str] = ()) -> tuple[Open, ...]:
        """What these processes have open."""
        pids = set(self.processes(ports, scripts))
        return tuple(each for each in self.opened if each.pid in pids)

    def listening(self) -> Iterator[Listener]:
        return listeners(self.sockets)


def listeners(rows: Iterable[str]) -> Iterator[Listener]:
    """From the rows of sockstat: the sockets that have a port."""
    for row in map(str.split, rows):
        address, _, port = row[-2].rpartition(":")
        if port.isdigit():
            yield Listener(row[-5], " ".join(row[1:-5]), row[-3], address, int(port))


_PROCESSES = """
!NF {next}
/^= / {for (i = 3; i <= NF; i++) first[$i] = $i; next}
/^=/ {known = 1; next}
known {parent[$1] = $2; age[$1] = $3; next}
{
port = $(NF - 1); sub(/.*:/, "", port);
if ($(NF - 4) ~ /^[0-9]+$/ && index(ports, " " port " ")) first[$(NF - 4)] = $(NF - 4)
}
END {
do {
more = 0;
for (pid in parent) if (parent[pid] in first) {
top = first[parent[pid]];
if (!(pid in first) || first[pid] != top) {
first[pid] = top; more = 1
}
}
} while (more);
for (pid in first) if (pid in parent) {
each = pid " " first[pid] " " age[pid] " ";
if (first[pid] == pid) own = own each; else others = others each
}
print own others
}
"""
_ONCE = """
BEGIN {n = split(first, each, " "); for (i = 1; i < n; i += 3) of[each[i]] = each[i + 1]}
{
key = $0; sub(/^ *[0-9]+ /, "", key); top = of[$1]; text = / text v /;
if (text && $1 == top) program[top] = key;
if (!((top, key) in seen) || text && key != program[top]) print;
seen[top, key]
}
"""
"""awk: the same row of several processes of a daemon, as of Apache's workers, once.

But which program a process runs is told of each that runs another than the first of them.
"""
_ASKED = (
    "procstat -f $pids 2>/dev/null || "
    'for each in $pids; do procstat -f "$each" 2>/dev/null || :; done'
)
"""procstat(1) ends at the first process that is gone by then, and tells nothing of the others."""
_OF_SCRIPT = (
    'service "$each" onestatus 2>/dev/null | '
    'sed -n "s,.* is running as pid \\([0-9 ]*\\)\\.$,= $each \\1,p"'
)
"""The pids as rc.subr(8) tells them: a program is seldom called like its script (redis-server)."""
_LED = (
    'while read -r each; do cd -P -- "$each" 2>/dev/null && [ "$PWD" != "$each" ] && '
    'echo "$each $PWD"; done; :'
)
_NEW = 60  # seconds
_PARTS = ("= unix", "= scripts", "= first", "= opened", "= led")
_ROW = re.compile(
    r"\s*(?P<pid>\d+) (?P<command>.+?)\s+(?P<fd>[a-z]+|\d+) (?P<type>\S) (?P<vnode>\S)\s+"
    r"(?P<flags>\S+)\s+\S+\s+\S+\s+(?P<proto>\S+)\s+(?P<name>\S.*?)\s*"
)


class Daemons(FactBase[Running]):
    """What is used by the daemons that listen on `ports`, and by the processes of these scripts.

    By procstat -f, whose columns are PID COMM FD T V FLAGS REF OFFSET PRO NAME. It has the true
    paths: for each of `places` the fact tells its own.
    """

    default = Running

    def command(
        self, ports: Sequence[int], scripts: Sequence[str] = (), places: Sequence[str] = ()
    ) -> str:
        unix, own, first, files, led = (f"echo {shlex.quote(part)}" for part in _PARTS)
        wanted = f"-v ports=' {' '.join(map(str, ports))} '"
        each = f"for each in {shlex.join(scripts)}; do {_OF_SCRIPT}; done" if scripts else ":"
        return (
            'bound=$(sockstat -46lq -j 0); printf "%s\\n" "$bound"; '
            f"{unix}; sockstat -ulqw -j 0; {own}; own=$({each}); "
            f"printf '%s\\n' \"$own\"; {first}; "
            'first=$({ printf "%s\\n" "$bound" "$own" =; '
            "ps -ax -o pid= -o ppid= -o etimes=; } | "
            f"awk {wanted} {one_line(_PROCESSES)}); printf '%s\\n' \"$first\"; {files}; "
            'pids=$(set -- $first; while [ $# -gt 2 ]; do echo "$1"; shift 3; done); '
            f'[ -z "$pids" ] || {{ {_ASKED}; }} | '
            f'awk -v first="$first" {one_line(_ONCE)}; {led}; '
            f"printf '%s\\n' {' '.join(map(shlex.quote, places))} | {{ {_LED}; }}"
        )

    def process(self, output: list[str]) -> Running:
        sockets, unix, own, first, files, led = _parts(output)
        pids = " ".join(first).split()
        scripts = [row.split()[1:] for row in own if row]
        return Running(
            tuple(line for line in sockets if line),
            tuple((row[2], row[5]) for row in map(str.split, unix) if len(row) > 5),
            tuple(zip(pids[::3], pids[1::3], strict=False)),
            opened(files),
            tuple((path, real) for path, _, real in (row.partition(" ") for row in led)),
            tuple((script, pid) for script, *started in scripts for pid in started),
            tuple(pid for pid, age in zip(pids[::3], pids[2::3], strict=False) if int(age) < _NEW),
        )


def opened(rows: Iterable[str]) -> tuple[Open, ...]:
    """From the rows of procstat -f, without the header."""
    return tuple(Open(**found.groupdict()) for row in rows if (found := _ROW.fullmatch(row)))


def _parts(output: list[str]) -> list[list[str]]:
    """What stands before the first of _PARTS, then what follows each of them."""
    parts: dict[str, list[str]] = {"": [], **{part: [] for part in _PARTS}}
    within = ""
    for line in output:
        if line in _PARTS:
            within = line
        else:
            parts[within].append(line)
    return list(parts.values())


def used(files: Iterable[Open], running: Running) -> Iterator[Need]:
    """The files, directories, local sockets and ports that processes use, here and elsewhere.

    Not what they make themselves: sockets at which one of them listens, accepted connections.
    """
    files = tuple(files)
    pids = {each.pid for each in files}
    own = {path for pid, path in running.unix if pid in pids}
    ports = {str(each.port) for each in running.listening()}
    for each in files:
        words = each.name.split()
        if (each.type == "f" or each.vnode in ("r", "d")) and re.match("/.", each.name):
            kind = "working directory" if each.fd == "cwd" else "path"
            yield Need(kind, each.name, each.said, "w" in each.flags)
        elif each.proto in ("UDS", "UDD") and words[-1].startswith("/"):
            if words[-1] not in own:
                yield Need("socket", words[-1], each.said)
        elif each.proto in ("TCP", "UDP"):
            # 15.0 prints the lengths of two queues before the addresses of both ends.
            here, there = words[-2:]
            address, port = _end(there)
            # An accepted connection has the daemon's own port on this side.
            if _end(here)[1] in ports:
                continue
            if _is_loopback(address):
                yield Need("port", f"{each.proto.lower()} {address}:{port}", each.said)
            elif each.proto == "TCP" and _is_other(address):
                yield Need("connection", f"tcp {address}:{port}", each.said)


def served(ports: Iterable[int], running: Running) -> Iterator[Need]:
    """What other programs of the host use of a daemon with these ports, at 127.0.0.1 or such."""
    for each in running.listening():
        if each.port in ports and each.at_loopback:
            at = "127.0.0.1" if each.address == "*" else each.address
            yield Need("served port", f"{each.proto[:3]} {at}:{each.port}", each.said)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _is_other(address: str) -> bool:
    """Jails have no IPv6, and programs that find none take IPv4."""
    try:
        return not ip_address(address).is_unspecified and "." in address
    except ValueError:
        return False


def _end(end: str) -> tuple[str, str]:
    """Address and port: procstat prints a colon between them for IPv4, and a dot for IPv6."""
    found = re.fullmatch(r"(.*)[.:](\d+)", end)
    return (found[1], found[2]) if found else ("", "")


class Variable(NamedTuple):
    """An rc variable of a script, its value, and the line that sets it, as FILE:NUMBER."""

    rcvar: str
    name: str
    value: str
    place: str


class Variables(FactBase[tuple[Variable, ...]]):
    """The rc variables of these scripts besides those that enable them (rc.variables)."""

    @staticmethod
    def default() -> tuple[Variable, ...]:
        return ()

    def command(self, rcvars: Sequence[str]) -> str:
        prefixes = [each.removesuffix("_enable") for each in rcvars]
        files = " ".join(f"$({rc.read_for(each)})" for each in prefixes)
        set_here = shlex.quote(f"^[^#]*({'|'.join(prefixes)})(limits)?_[A-Za-z0-9_]+=")
        enabling = shlex.quote(f":[[:space:]]*({'|'.join(rcvars)})=")
        asked = "".join(
            f"; echo '= {rcvar}'; case $lines in *{prefix}_*|*{prefix}limits_*) "
            f"{rc.variables(rcvar)};; esac"
            for rcvar, prefix in zip(rcvars, prefixes, strict=True)
        )
        return (
            f"lines=$(grep -nE {set_here} {files} /dev/null | grep -vE {enabling}); "
            f'printf "%s\\n" "$lines"{asked}'
        )

    def process(self, output: list[str]) -> tuple[Variable, ...]:
        """Lines of grep, then for each rcvar "= RCVAR" and lines NAME='VALUE'."""
        lines: list[str] = []
        said: dict[str, list[str]] = {}
        part = lines
        for line in output:
            if line.startswith("= "):
                part = said.setdefault(line[2:], [])
            else:
                part.append(line)
        return tuple(
            Variable(rcvar, name, value, _set_at(lines, name))
            for rcvar, rows in said.items()
            for name, _, value in (word.partition("=") for word in shlex.split("\n".join(rows)))
        )


def _set_at(lines: Iterable[str], name: str) -> str:
    """Where a variable is set last, in lines of grep: FILE:NUMBER:LINE."""
    at = [line for line in lines if re.match(rf"[^:]*:\d+:[^#]*\b{name}=", line)]
    return ":".join(at[-1].split(":")[:2]) if at else "rc.conf"
