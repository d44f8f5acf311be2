"""What a daemon uses on its host, as a need; and those that its running processes show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from pyinfra.api.facts import FactBase


class Need(NamedTuple):
    """`kind` is path, variable, socket or port; `what` its name, a port's as ADDRESS:PORT.

    `said` is where it is said: a line of a file, or the command that shows it.
    """

    kind: str
    what: str
    said: str


_ROW = re.compile(
    r"\s*(?P<pid>\d+) (?P<command>.+?)\s+(?P<fd>[a-z]+|\d+) (?P<type>\S) (?P<vnode>\S)\s+"
    r"\S+\s+\S+\s+\S+\s+(?P<proto>\S+)\s+(?P<name>\S.*?)\s*"
)
_SHOWN = "= sockstat"


class InUse(FactBase[tuple[Need, ...] | None]):
    """The files, sockets and ports that the daemon behind these ports has open; None if unknown.

    By procstat -f, whose columns are PID COMM FD T V FLAGS REF OFFSET PRO NAME. A file that is
    deleted has no name there. Sockets on which a process of the host listens itself are left out.
    """

    @staticmethod
    def default() -> tuple[Need, ...] | None:
        return None

    def command(self, ports: Sequence[int]) -> str:
        numbers = ",".join(map(str, ports))
        pids = f"$(sockstat -46lq -j 0 -p {numbers} | awk '{{print $(NF - 4)}}' | sort -u)"
        return (
            f'pids={pids}; [ -z "$pids" ] || procstat -f $pids 2>/dev/null; '
            f"echo '{_SHOWN}'; sockstat -46lq -j 0 -p {numbers}; sockstat -ulq -j 0"
        )

    def process(self, output: list[str]) -> tuple[Need, ...] | None:
        end = output.index(_SHOWN) if _SHOWN in output else 0
        rows = [found for line in output[:end] if (found := _ROW.fullmatch(line))]
        if not rows:
            return None
        listening = {word for line in output[end + 1 :] for word in line.split()}
        return tuple(dict.fromkeys(need for row in rows for need in _of(row, listening)))


def _of(row: re.Match[str], listening: set[str]) -> Iterator[Need]:
    name = row["name"]
    said = f"procstat -f {row['pid']} ({row['command'].strip()}, {row['fd']})"
    if row["type"] == "v" and row["vnode"] in "rd" and re.match("/.", name):
        yield Need("path", name, said)
    elif row["type"] == "s" and row["proto"] == "TCP":
        here, _, there = name.partition(" ")
        # An accepted connection has the daemon's own port on this side.
        own = {here, f"*:{port_of(here)[1]}"} & listening
        if not own and _is_loopback(there):
            yield Need("port", there, said)
    elif row["type"] == "s" and row["proto"] == "UDS":
        path = name.split()[-1]
        if path.startswith("/") and path not in listening:
            yield Need("socket", path, said)


def _is_loopback(end: str) -> bool:
    try:
        return ip_address(port_of(end)[0]).is_loopback
    except ValueError:
        return False


def port_of(end: str) -> tuple[str, str]:
    """Address and port: procstat prints a colon between them for IPv4, and a dot for IPv6."""
    found = re.fullmatch(r"(.*)[.:](\d+)", end)
    return (found[1], found[2]) if found else ("", "")
