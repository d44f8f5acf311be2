"""What PHP's settings name: sessions, uploads, logs, files that run before each page, libraries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from shlex import quote
from typing import NamedTuple

from pyinfra.api.facts import FactBase

from operations import apache
from operations.carried import KINDS, Ask, Named, Names, There, is_in
from operations.command import Look

_INI = ("/usr/local/etc/php.ini", "/usr/local/etc/php")
_FPM = ("/usr/local/etc/php-fpm.conf", "/usr/local/etc/php-fpm.d")
PLACES = (*_INI, *_FPM)
"""Where the ports' PHP is configured, whichever way it runs."""

_LINES = "^[[:space:]]*([^;#[:space:]][^=]*=.*(/|127[.]|localhost)|user[[:space:]]*=)"
_APACHES_LINES = "^[[:space:]]*php_(admin_)?value[[:space:]].*(/|127[.]|localhost)"
_BY_PHP = re.compile(r"\s*(?:(?:php_(?:admin_)?value|env)\[)?([^\]\s=]+)\]?\s*=(.*)")
_BY_APACHE = re.compile(r"\s*php_(?:admin_)?value\s+(\S+)\s+(.*)")

# What a daemon makes itself, programs with their words, and patterns.
_NOT_NEEDED = ("listen", "pid", "include", "sendmail_path", "ping.path", "pm.status_path")
_LOGS = ("access.log", "error_log", "mail.log", "slowlog")
_OWN = ("/", "/tmp", "/var/tmp", "/dev/null", "/dev/stderr")  # noqa: S108 # names
"""What every jail has of its own."""

_PATH = re.compile(r"(?:^|(?<=[\s:;,=\"'])|(?<=unix://))/(?!/)[A-Za-z0-9_.+@/-]*[$%*{]?")
_LIMITS = ("open_basedir",)
"""A jail has of these what it has: scripts are only allowed to read there."""
_SYSTEMS = ("/dev", "/etc", "/proc", "/sys", "/compat", "/root", "/var/run", "/var/log", "/var/db")
_ABOVE = ("/usr", "/usr/local", "/usr/local/etc", "/var")
_BACKEND = re.compile(r"(?:\w+://)?(?:127\.\d+\.\d+\.\d+|localhost):(\d+)")
_CANDIDATES = (
    '{sub(/^[^:]*:[^:]*:/, ""); gsub(/[^A-Za-z0-9_.+@\\/-]+/, " "); gsub(/\\/\\/+/, "/"); '
    "for (i = 1; i <= NF; i++) if ($i ~ /^[\\/]/) "
    '{sub(/[\\/]+$/, "", $i); if ($i == "") continue; at = $i; print at; '
    'if (sub(/[\\/][^\\/]*$/, "", at) && at != "") print at}}'
)
"""awk: each path in the lines, and its directory."""


@dataclass(frozen=True)
class Said:
    """Each path that is named, with the place that names it; what the host has of them.

    `backends` are ports of this machine: what names each, its number, and the place. `accounts` are
    those as which pools run, and `included` the places of further pools.
    """

    paths: tuple[tuple[str, str], ...] = ()
    there: There = field(default_factory=There)
    backends: tuple[tuple[str, str, str], ...] = ()
    accounts: tuple[tuple[str, str], ...] = ()
    included: tuple[tuple[str, str], ...] = ()


class Settings(FactBase[Said]):
    """The settings with a path: of php.ini, of pools, and those that Apache's files make."""

    default = Said

    @staticmethod
    def assumed(places: Sequence[str]) -> Look:
        known = "/usr/local/|/home/|/usr/home|/var/(run|log|tmp)|/tmp|/usr/s?bin/"
        return Look(
            f"{{ {_asked(places)}; }} | grep -vE '=[^/]*({known})'",
            claim=f"{', '.join(PLACES)} name no further directories",
        )

    def command(self, places: Sequence[str]) -> str:
        return (
            f'said=$({_asked(places)}); printf "%s\\n" "$said"; '
            f'paths=$(printf "%s\\n" "$said" | awk {quote(_CANDIDATES)} | sort -u); '
            f'printf "%s\\n" {" ".join(_INI)} "$paths" | {{ {KINDS}; }}'
        )

    def process(self, output: list[str]) -> Said:
        """Lines of grep, FILE:NUMBER:TEXT, then those of KINDS."""
        rows = [row.split(":", 2) for row in output if row.startswith("/")]
        settings = [Setting.read(*row) for row in rows if len(row) == 3]
        named = ((path, each.place) for each in settings for path in each.paths())
        own = ((each, "PHP's own configuration") for each in _INI)
        ports = (
            (found[0], found[1], each.place)
            for each in settings
            if each.name not in _NOT_NEEDED
            for found in _BACKEND.finditer(each.value)
        )
        fpms = [each for each in settings if each.of_fpm]
        return Said(
            (*named, *own),
            There.read(output),
            tuple(ports),
            tuple((each.value, each.place) for each in fpms if each.name == "user"),
            tuple((each.value, each.place) for each in fpms if each.name == "include"),
        )


def _asked(places: Sequence[str]) -> str:
    own, apaches = " ".join(PLACES), " ".join(map(quote, places))
    found = "-type f -exec grep -nHIsE"
    return (
        f"{{ find -H {own} {found} {quote(_LINES)} {{}} +; "
        f"find -H {apaches} {found} {quote(_APACHES_LINES)} {{}} +; }} 2>/dev/null"
    )


class Setting(NamedTuple):
    """A line NAME = VALUE, php_admin_value[NAME] = VALUE, or php_admin_value NAME VALUE (Apache).

    `of_fpm`: of php-fpm itself, whose master opens its files as root.
    """

    name: str
    value: str
    place: str
    of_fpm: bool

    @classmethod
    def read(cls, file: str, number: str, line: str) -> Setting:
        """What follows a semicolon is a comment, but not in quotes."""
        found = _BY_APACHE.match(line) or _BY_PHP.match(line)
        name, value = found.groups() if found else ("", "")
        quoted = re.match(r"""\s*(["'])(.*?)\1""", value)
        plain = not line.lstrip().startswith(("php_", "env["))
        return cls(
            name,
            quoted[2] if quoted else value.partition(";")[0].strip(),
            f"{file}:{number}: {name}",
            plain and "/php-fpm." in file,
        )

    def paths(self) -> Iterator[str]:
        """What PHP needs. Of a log the directory, but in /var/log (`kept_logs`)."""
        if self.name in _NOT_NEEDED:
            return
        for said in _PATH.findall(self.value):
            whole = said[-1] not in "$%*{"
            path = PurePosixPath(said if whole else f"{said.rpartition('/')[0]}/x")
            log, kept = self.name in _LOGS, _in_var_log(path)
            if log and kept and self.of_fpm:
                continue
            at = path.parent if (log and not kept) or not whole else path
            if str(at) not in _OWN and not is_in(str(at), ("/dev",)) and not self._limits(str(at)):
                yield str(at)

    def _limits(self, path: str) -> bool:
        return self.name in _LIMITS and (path in _ABOVE or is_in(path, _SYSTEMS))


def _in_var_log(path: str | PurePosixPath) -> bool:
    return str(PurePosixPath(path).parent) == "/var/log"


def unread(said: Said) -> list[str]:
    """The pools that php-fpm includes from elsewhere: what they say is not known."""
    return [f"{place} = {path}" for path, place in said.included if not is_in(path, PLACES)]


def kept_logs(said: Said) -> list[str]:
    """The logs in /var/log itself, where only root can create a file: PHP could not in a jail."""
    there = dict(said.there.kinds)
    return [
        f"{place} = {path}"
        for path, place in said.paths
        if there.get(path, "directory") != "directory" and _in_var_log(path)
    ]


@dataclass(frozen=True)
class Configuration:
    """PHP's configuration, as something that names paths; `places` are Apache's files."""

    places: tuple[str, ...]

    def named(self, ask: Ask) -> tuple[Named, ...]:
        """What there is on the host, asked now."""
        said: Said = ask(Settings, places=self.places)
        found = said.there.named(said.paths)
        return tuple(n for n in found if n.kind == "directory" or not _in_var_log(n.path))


def names(places: tuple[str, ...]) -> tuple[Names, ...]:
    """What names paths for a web server whose configuration is at these places."""
    return (apache.Configuration(places), Configuration(places))
