"""Zone files, as far as the stand-in's named answers from them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from standin.daemons import configs
from standin.linux.rootdir import RootDir
from standin.model.daemon import Daemon

KINDS = ("A", "AAAA", "MX", "NS", "SOA", "TXT", "CNAME")


@dataclass(frozen=True)
class Record:
    name: str
    ttl: int
    kind: str
    value: str


def load(daemon: Daemon) -> None:
    """What a named does when it starts, and when it is told to reload."""
    files = configs.zone_files(daemon.rootdir)
    daemon.loaded = {zone: current(daemon.rootdir, file) for zone, file in files.items()}


def serial(zone: str, text: str) -> int:
    return next((int(one.value.split()[2]) for one in read(zone, text) if one.kind == "SOA"), 0)


def current(rootdir: RootDir, file: str) -> str:
    """A zone file, rolled forward by its journal."""
    text = rootdir.read(file) or ""
    for line in (rootdir.read(f"{file}.jnl") or "").splitlines():
        text = _changed(text, line)
    return text


def _changed(text: str, line: str) -> str:
    """`line` is an entry of our journal: the serials before and after it, and a record."""
    old, new, record = line.split(" ", 2)
    return text.replace(old, new, 1) + f"{record}\n"


class UpdateError(Exception):
    """The rcode of the answer."""


def update(daemon: Daemon, zone: str, record: str) -> None:
    """A dynamic update, written to the journal first.

    Raises UpdateError where another named has written to the journal meanwhile: BIND 9.18 logs
    "malformed transaction: FILE last serial N != transaction first serial M" (its journal.c).
    """
    if not configs.takes_updates(daemon.rootdir, zone):
        raise UpdateError("REFUSED")
    file = configs.zone_files(daemon.rootdir)[zone]
    now = serial(zone, daemon.loaded[zone])
    if serial(zone, current(daemon.rootdir, file)) != now:
        raise UpdateError("SERVFAIL")
    line = f"{now} {now + 1} {record}"
    with daemon.rootdir.path(f"{file}.jnl").open("a") as journal:
        journal.write(f"{line}\n")
    daemon.loaded[zone] = _changed(daemon.loaded[zone], line)


def lookup(daemon: Daemon, name: str, kind: str) -> list[Record]:
    """From the zones that this named has loaded."""
    wanted = name.rstrip(".").lower()
    for zone, text in daemon.loaded.items():
        if wanted == zone or wanted.endswith(f".{zone}"):
            return [one for one in read(zone, text) if one.name == wanted and one.kind == kind]
    return []


def read(zone: str, text: str) -> list[Record]:
    joined = re.sub(r"\(([^)]*)\)", lambda m: " ".join(m[1].split()), text, flags=re.DOTALL)
    ttl, last = 3600, zone
    found = []
    for line in joined.splitlines():
        words = line.partition(";")[0].split()
        if not words:
            continue
        if words[0] == "$TTL":
            ttl = int(words[1])
            continue
        if not line[0].isspace():
            first = words.pop(0)
            last = zone if first == "@" else _absolute(first, zone)
        words = (
            [word for word in words if word != "IN" and not word.isdigit()] if words[-1:] else []
        )
        if len(words) >= 2 and words[0] in KINDS:
            found.append(Record(last, ttl, words[0], _value(line, words[0])))
    return found


def _absolute(name: str, zone: str) -> str:
    return name.rstrip(".").lower() if name.endswith(".") else f"{name.lower()}.{zone}"


def _value(line: str, kind: str) -> str:
    return " ".join(line.partition(";")[0].split(f" {kind} ", 1)[1].split())
