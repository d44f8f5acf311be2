"""What Apache's configuration names: pages, passwords, logs, certificates, backends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import PurePosixPath
from shlex import quote
from typing import NamedTuple

from pyinfra.api.facts import FactBase

from operations.carried import KINDS, Ask, Named, There
from operations.command import Look

ARGUMENT = {
    "alias": 2,
    "aliasmatch": 2,
    "scriptalias": 2,
    "scriptaliasmatch": 2,
    "wsgiscriptalias": 2,
    "wsgiscriptaliasmatch": 2,
    "documentroot": 1,
    "virtualdocumentroot": 1,
    "virtualscriptalias": 1,
    "userdir": 1,
    "authuserfile": 1,
    "authgroupfile": 1,
    "errorlog": 1,
    "customlog": 1,
    "transferlog": 1,
    "sslcertificatefile": 1,
    "sslcertificatekeyfile": 1,
    "sslcertificatechainfile": 1,
    "sslcacertificatefile": 1,
    "sslcacertificatepath": 1,
    "sslcarevocationfile": 1,
    "sslcarevocationpath": 1,
    "sslproxymachinecertificatefile": 1,
    "sslproxycacertificatefile": 1,
    "wsgipythonhome": 1,
    "cacheroot": 1,
    "davlockdb": 1,
    "fcgidwrapper": 1,
    "jkworkersfile": 1,
    "jklogfile": 1,
    "passengerapproot": 1,
    "secauditlog": 1,
    "secauditlogstoragedir": 1,
    "secdatadir": 1,
    "secdebuglog": 1,
    "sectmpdir": 1,
    "svnpath": 1,
    "svnparentpath": 1,
    "authzsvnaccessfile": 1,
    "forensiclog": 1,
    "include": 1,
    "includeoptional": 1,
}
"""Directives that name a path -> which of their words it is."""
_LOGS = (
    *("errorlog", "customlog", "transferlog", "forensiclog"),
    *("secauditlog", "secdebuglog", "jklogfile", "davlockdb"),
)
_HANDLERS = ("sethandler", "proxypass", "proxypassmatch", "balancermember", "rewriterule")
_SITES = ("<virtualhost", "</virtualhost", "servername", "serveralias")
_PAGES = ("documentroot", "alias", "scriptalias", "virtualdocumentroot", "aliasmatch")
_PATTERN = re.compile(r"/[^/]*[$%*?\[].*")
_READ = "|".join((*ARGUMENT, *_HANDLERS, *_SITES, "serverroot"))
_WORD = re.compile(r'"([^"]*)"|(\S+)')
_BACKEND = re.compile(r"(?<![|\w])(\w+)://(?:127\.\d+\.\d+\.\d+|localhost)(?::(\d+))?(?=[/\s]|$)")
_PORTS = {"ajp": "8009", "fcgi": "8000", "https": "443", "scgi": "4000", "wss": "443"}
"""The ports of backends that name none (modules/proxy)."""

_PATHS = (
    'function told(word, part, n, i, at) {gsub(/unix:/, "|", word); n = split(word, part, "|"); '
    r"for (i = 1; i <= n; i++) if (part[i] ~ /[\/]/ && part[i] !~ /:/) {at = part[i]; "
    r'sub(/[\/][^\/]*[$%*?\[].*$/, "", at); '
    r'if (at !~ /^[\/]/) at = root "/" at; sub(/[\/]+$/, "", at); if (at == "") continue; '
    r'print at; if (sub(/[\/][^\/]*$/, "", at) && at != "") print at}} '
    'BEGIN {root = "/usr/local"} '
    '{sub(/^[^:]*:[^:]*:/, ""); line = $0; gsub(/"/, " "); '
    'if (tolower($1) == "serverroot") root = $2; while (match(line, /"[^"]*"/)) '
    "{told(substr(line, RSTART + 1, RLENGTH - 2)); "
    'line = substr(line, 1, RSTART - 1) " " substr(line, RSTART + RLENGTH)} '
    "$0 = line; for (k = 2; k <= NF; k++) told($k)}"
)
"""awk: each path in the lines, and its directory."""


class Line(NamedTuple):
    file: str
    number: str
    words: tuple[str, ...]

    @property
    def directive(self) -> str:
        return self.words[0].lower()

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True)
class Said:
    """What the configuration says, and what there is on the host of the paths in it."""

    lines: tuple[Line, ...] = ()
    there: There = field(default_factory=There)


class Directives(FactBase[Said]):
    """The directives that name something, of httpd.conf and of the files that it includes."""

    default = Said

    @staticmethod
    def assumed(places: Sequence[str]) -> Look:
        directives = "|".join(each for each in ARGUMENT if not each.startswith("include"))
        named = f"grep -rhisE '^[[:space:]]*({directives})[[:space:]]'"
        kept = "grep -v -e /usr/local/www -e /home/ -e /usr/local/etc/apache24 -e /var/log"
        kept += " -e 'ser[Dd]ir  *[^/ ]'"  # in homes
        return Look(
            f"{named} {' '.join(places)} | {kept}",
            claim=f"the files in {', '.join(places)} name no further directories",
        )

    def command(self, places: Sequence[str]) -> str:
        pattern = f"^[[:space:]]*({_READ})([[:space:]>])"
        where = " ".join(map(quote, places))
        return (
            f"said=$(find -H {where} -type f -exec grep -nHIsiE {quote(pattern)} {{}} +); "
            'printf "%s\\n" "$said"; paths=$(printf "%s\\n" "$said" '
            f"| awk {quote(_PATHS)} | sort -u); "
            f'printf "%s\\n" "$paths" | {{ {KINDS}; }}'
        )

    def process(self, output: list[str]) -> Said:
        """Lines of grep, FILE:NUMBER:TEXT, then "= KIND PATH" and "@ REST DIRECTORY"."""
        rows = [row.split(":", 2) for row in output if row.startswith("/")]
        lines = [
            Line(row[0], row[1], tuple(one or two for one, two in _WORD.findall(row[2])))
            for row in rows
            if len(row) == 3
        ]
        return Said(tuple(_loaded(lines)), There.read(output))


def _loaded(lines: list[Line]) -> Iterator[Line]:
    """The lines of httpd.conf and of what it includes: the port has samples beside them."""
    root = _server_root(lines)
    todo = [line.file for line in lines if line.file.endswith("/httpd.conf")][:1]
    done: set[str] = set()
    while todo:
        file = todo.pop()
        done.add(file)
        for line in lines:
            if line.file != file or (len(line.words) == 1 and line.directive[:2] != "</"):
                continue
            yield line
            if line.directive.startswith("include"):
                wanted = str(PurePosixPath(root, line.words[1]))
                files = dict.fromkeys(each.file for each in lines)
                todo += [
                    each
                    for each in files
                    if each not in (*done, *todo)
                    and (fnmatch(each, wanted) or each.startswith(f"{wanted}/"))
                ]


def _server_root(lines: Sequence[Line]) -> str:
    return next((line.words[1] for line in lines if line.directive == "serverroot"), "/usr/local")


def named(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Each path that these lines name, and the place where they do."""
    root = _server_root(lines)
    for line in lines:
        if line.directive in ARGUMENT and len(line.words) > ARGUMENT[line.directive]:
            path = _PATTERN.sub("", line.words[ARGUMENT[line.directive]])
            in_homes = line.directive == "userdir" and not path.startswith("/")
            if path and not path.startswith(("|", "syslog")) and not in_homes:
                yield _path(root, path, line.directive), line.place
        elif line.directive in _HANDLERS:
            yield from ((each, line.place) for each in re.findall(r"unix:([^|\s]+)", _to(line)))


def _to(line: Line) -> str:
    """Where requests go. A RewriteRule without the flag P sends the client there."""
    if line.directive == "rewriterule" and not re.search(r"\[(.*,)?P(,.*)?\]", line.words[-1]):
        return ""
    return " ".join(line.words[1:])


def includes(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Each file or directory with further directives, and the place that includes it."""
    yield from _named_by(("include", "includeoptional"), lines)


def pages(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Each directory whose files are served, and the place that names it."""
    yield from _named_by(_PAGES, lines)


def _named_by(directives: Sequence[str], lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    kept = (*directives, "serverroot")
    yield from named([line for line in lines if line.directive in kept])


def user_directories(lines: Sequence[Line]) -> list[str]:
    """The names in homes that are served below /~USER/ (mod_userdir)."""
    words = [word for line in lines if line.directive == "userdir" for word in line.words[1:]]
    return [each for each in words if re.fullmatch(r"[\w.][\w./-]*", each) and not _switches(each)]


def _switches(word: str) -> bool:
    return word.lower() in ("enabled", "disabled")


def _path(root: str, path: str, directive: str) -> str:
    """Of a log the directory must be there. /var/log is in every jail."""
    whole = PurePosixPath(root, path)
    return str(whole.parent if directive in _LOGS and str(whole.parent) != "/var/log" else whole)


def backends(lines: Sequence[Line]) -> Iterator[tuple[str, str, str]]:
    """Each address of this machine that a request is handed to: URL, port, and the place."""
    for line in lines:
        if line.directive in _HANDLERS:
            for found in _BACKEND.finditer(_to(line)):
                yield found[0], found[2] or _PORTS.get(found[1], "80"), line.place


def virtual_hosts(lines: Sequence[Line], alone: str) -> dict[str, str]:
    """Each name that Apache is asked by, and the directory of its pages ("" where none is said).

    `alone` is asked, too: a name that no virtual host has. Of a pattern one name is made.
    """
    root = _server_root(lines)
    found: dict[str, str] = {}
    names: list[str] = [alone]
    pages = ""
    for line in (*lines, Line("", "", ("</virtualhost>",))):
        if line.directive in ("servername", "serveralias"):
            names += map(_name, line.words[1:])
        elif line.directive == "documentroot":
            pages = str(PurePosixPath(root, line.words[1]))
        elif "virtualhost" in line.directive:
            found |= {each: pages for each in names if each and each not in found}
            names, pages = [], ""
    return found


def _name(said: str) -> str:
    """Of [SCHEME://]NAME[:PORT]; "" for what cannot be a name."""
    name = re.sub(r"^\w+://|:\d+$", "", said).replace("*", "any").replace("?", "x")
    return name if re.fullmatch(r"[A-Za-z0-9._-]+", name) else ""


@dataclass(frozen=True)
class Configuration:
    """Apache's configuration, as something that names paths."""

    places: tuple[str, ...]

    def named(self, ask: Ask) -> tuple[Named, ...]:
        """What there is on the host, asked now."""
        said: Said = ask(Directives, places=self.places)
        return said.there.named(named(said.lines))
