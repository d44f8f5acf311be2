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
_GROUPS = (
    '{line = $0; sub(/^[ \t]+/, "", line); sub(/[ \t\r]+$/, "", line)} FNR == 1 {on = 0} '
    "line ~ /^\\[/ {name = line; "
    rf'sub(/^\[/, "", name); sub(/\].*$/, "", name); on = name ~ /{_SERVERS}/; next}} '
)
_LINES = (
    f"{_GROUPS}"
    'line ~ /^!include/ {n = split(line, w, /[ \t]+/); print w[2] " " FILENAME ":" FNR " " w[1]; '
    "next} "
    'on && line ~ /^[A-Za-z][A-Za-z0-9_-]*[ \t]*=/ {name = line; sub(/[ \t]*=.*$/, "", name); '
    'sub(/^[^=]*=/, "", line); gsub(/["\047]/, "", line); sub(/[ \t]#.*$/, "", line); '
    "n = split(line, w, /[;:, \t]+/); for (i = 1; i <= n; i++) if (w[i] ~ /^\\/[^\\/]/) "
    'print w[i] " " FILENAME ":" FNR " " name}'
)
"""awk: each absolute path in the values, the place that names it, and the option."""
_VALUES = (
    f"{_GROUPS}"
    'on && line ~ /^[A-Za-z]/ {value = name = line; sub(/[ \t]*(=.*|#.*)?$/, "", name); '
    'sub(/^[^=]*=?[ \t]*/, "", value); gsub(/["\047]/, "", value); '
    'sub(/[ \t]*(#.*)?$/, "", value); '
    'gsub(/_/, "-", name); sub(/^loose-/, "", name); '
    "if (name ~ /^(bind|mysqlx-bind|admin)-address$|^log-bin$|^relay-log$|^log-basename$/) "
    'print FILENAME ":" FNR " " name " " value}'
)
"""awk: the place, the name with dashes, and the value of the options of `Settings`."""
_THERE = (
    'while read -r path place option; do if [ -e "$path" ]; then echo "$path $place $option"; '
    'else path=${path%/*}; [ ! -d "${path:-/}" ] || echo "${path:-/} $place $option"; fi; done'
)
_READS = re.compile(
    r"ssl|tls|cert|key|^!|^(read |basedir|plugin|wsrep-provider$|lc-messages|character-set|"
    r"init-file)"
)


_IN_ARGUMENTS = re.compile(r"--defaults(?:-extra)?-file[= ](/\S+)")


def named(value: str, variable: str) -> list[str]:
    """The option files that an rc variable of the server's script names."""
    return [value] if variable == "mysql_optfile" else _IN_ARGUMENTS.findall(value)


class Option(NamedTuple):
    """`path` is what an option names, or its directory if only that is there."""

    path: str
    place: str
    option: str

    @property
    def is_written(self) -> bool:
        return not _READS.search(self.option.lower().replace("_", "-"))


class Setting(NamedTuple):
    """An option of the server, its value, and the line that sets it."""

    place: str
    option: str
    value: str


def _found(places: Sequence[str]) -> str:
    """find: the option files among these, and in those that are directories."""
    names = dict.fromkeys(each.rpartition("/")[2] for each in places)
    wanted = " -o ".join(f"-name {quote(each)}" for each in ("*.cnf", *names))
    where = " ".join(map(quote, dict.fromkeys(places)))
    return rf"find -H {where} -type f \( {wanted} \)"


class Settings(FactBase[Sequence[Setting]]):
    """What these option files say of addresses to listen at, and of the names of binary logs."""

    default = tuple

    def command(self, places: Sequence[str]) -> str:
        return f"{_found(places)} -exec awk {quote(_VALUES)} {{}} + 2>/dev/null"

    def process(self, output: list[str]) -> tuple[Setting, ...]:
        rows = ([*row.split(" ", 2), ""] for row in output)
        return tuple(dict.fromkeys(Setting(*row[:3]) for row in rows if len(row) > 2))


class Options(FactBase[Sequence[Option]]):
    """What the option files in `places` name, and which of FILES there are."""

    default = tuple

    def command(self, places: Sequence[str]) -> str:
        return (
            f"for each in {' '.join(FILES)}; do "
            '[ ! -f "$each" ] || echo "$each $each read by the server"; done; '
            f"{_found((*places, *FILES))} -exec awk {quote(_LINES)} {{}} + 2>/dev/null | {_THERE}"
        )

    def process(self, output: list[str]) -> tuple[Option, ...]:
        rows = (row.split(" ", 2) for row in output)
        found = (Option(row[0].rstrip("/") or "/", row[1], row[2]) for row in rows if len(row) == 3)
        return tuple(each for each in dict.fromkeys(found) if each.option.lower() != "basedir")


class Tables(FactBase[Sequence[tuple[str, str]]]):
    """The tables made with DATA DIRECTORY: the .isl file in `data`, and the path that it has."""

    default = tuple

    def command(self, data: Sequence[str]) -> str:
        places = " ".join(map(quote, data))
        return f"find -H {places} -maxdepth 2 -name '*.isl' -exec grep -H / {{}} + 2>/dev/null"

    def process(self, output: list[str]) -> tuple[tuple[str, str], ...]:
        rows = (re.fullmatch(r"(/.*[.]isl):(/.*)", row) for row in output)
        return tuple((found[1], found[2]) for found in rows if found)
