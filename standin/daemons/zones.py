"""Zone files, as far as the stand-in's named answers from them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from standin.daemons import configs
from standin.linux.rootdir import RootDir

KINDS = ("A", "AAAA", "MX", "NS", "SOA", "TXT", "CNAME")


@dataclass(frozen=True)
class Record:
    name: str
    ttl: int
    kind: str
    value: str


def lookup(rootdir: RootDir, name: str, kind: str) -> list[Record]:
    """The records of a name, from the zones of the named that runs in this root directory."""
    wanted = name.rstrip(".").lower()
    for zone, file in configs.zone_files(rootdir).items():
        if wanted == zone or wanted.endswith(f".{zone}"):
            records = read(zone, rootdir.read(file) or "")
            return [one for one in records if one.name == wanted and one.kind == kind]
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
