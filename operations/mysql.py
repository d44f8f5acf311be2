"""What MySQL's option files name: directories for logs and sorting, keys, further option files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote
from typing import NamedTuple

from pyinfra.api.facts import FactBase

FILES = (
    "/etc/my.cnf",
    "/etc/mysql/my.cnf",
    "/usr/local/etc/my.cnf",
    "/usr/local/etc/mysql/my.cnf",
)
"""Where the servers of FreeBSD's packages look (mysqld --verbose --help)."""

_SERVERS = "^(mysqld(_safe|-[0-9.]*|[0-9]*)|mariadbd?(-[0-9.]*)?|server|galera)$"
"""The groups that a server reads. Those of clients have passwords."""
_LINES = (
    '{line = $0; sub(/^[ \\t]+/, "", line)} FNR == 1 {on = 0} line ~ /^\\[/ {name = line; '
    f'sub(/^\\[/, "", name); sub(/\\].*$/, "", name); on = name ~ /{_SERVERS}/; next}} '
    'line ~ /^!include/ {n = split(line, w, /[ \\t]+/); print w[2] " " FILENAME ":" FNR " " w[1]; '
    "next} "
    'on && line ~ /^[A-Za-z][A-Za-z0-9_-]*[ \\t]*=/ {name = line; sub(/[ \\t]*=.*$/, "", name); '
    'sub(/^[^=]*=/, "", line); gsub(/["\\047]/, "", line); sub(/[ \\t]#.*$/, "", line); '
    "n = split(line, w, /[;:, \\t]+/); for (i = 1; i <= n; i++) if (w[i] ~ /^\\//) "
    'print w[i] " " FILENAME ":" FNR " " name}'
)
"""awk: each absolute path in the values, the place that names it, and the option."""
_THERE = (
    'while read -r path place option; do if [ -e "$path" ]; then echo "$path $place $option"; '
    'else path=${path%/*}; [ ! -d "${path:-/}" ] || echo "${path:-/} $place $option"; fi; done'
)
_READS = re.compile(
    r"ssl|tls|cert|key|^!|^(read |basedir|plugin|lc-messages|character-set|init-file)"
)


class Option(NamedTuple):
    """`path` is what an option names, or its directory if only that is there."""

    path: str
    place: str
    option: str

    @property
    def is_written(self) -> bool:
        return not _READS.search(self.option.lower().replace("_", "-"))


class Options(FactBase[Sequence[Option]]):
    """What the option files in `places`, and those that the server reads besides, name."""

    default = tuple

    def command(self, places: Sequence[str]) -> str:
        where = " ".join(map(quote, dict.fromkeys((*places, *FILES))))
        return (
            f"for each in {' '.join(FILES)}; do "
            '[ ! -f "$each" ] || echo "$each $each read by the server"; done; '
            f"find -H {where} -type f -name '*.cnf' -exec awk {quote(_LINES)} {{}} + 2>/dev/null "
            f"| {_THERE}"
        )

    def process(self, output: list[str]) -> tuple[Option, ...]:
        rows = (row.split(" ", 2) for row in output)
        found = (Option(row[0].rstrip("/") or "/", row[1], row[2]) for row in rows if len(row) == 3)
        return tuple(each for each in dict.fromkeys(found) if each.option.lower() != "basedir")
