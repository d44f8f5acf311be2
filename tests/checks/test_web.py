"""What Apache's configuration names is in the jail: pages, passwords, logs, certificates, PHP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath
from shlex import quote
from typing import Any, NamedTuple

from operations.jail import BASE, LOCAL
from rollout.site import Site

ARGUMENT = {
    "alias": 2,
    "scriptalias": 2,
    "documentroot": 1,
    "authuserfile": 1,
    "authgroupfile": 1,
    "errorlog": 1,
    "customlog": 1,
    "transferlog": 1,
    "sslcertificatefile": 1,
    "sslcertificatekeyfile": 1,
    "sslcertificatechainfile": 1,
    "sslcacertificatefile": 1,
    "include": 1,
    "includeoptional": 1,
}
"""Directives that name a path -> which of their words it is."""
_LOGS = ("errorlog", "customlog", "transferlog")
_HANDLERS = ("sethandler", "proxypass", "proxypassmatch")
_READ = "|".join((*ARGUMENT, *_HANDLERS, "serverroot", "loadmodule"))
_WORD = re.compile(r'"([^"]*)"|(\S+)')
_PHP = ("/usr/local/etc/php.ini", "/usr/local/etc/php")


class Line(NamedTuple):
    file: str
    number: str
    words: list[str]

    @property
    def directive(self) -> str:
        return self.words[0].lower()


def test_named_paths_are_in_the_jail(host: Any, site: Site, service: str) -> None:
    named = dict(_named(host, site, service))
    there = host.run(f"ls -d {' '.join(map(quote, named))} 2>/dev/null") if named else None
    found = set(there.stdout.splitlines()) if there else set()
    lost = [
        f"{named[path]}: {path}"
        for path in sorted(found)
        if not in_jail(site, site.jail_of(service), path)
    ]
    jail = site.jail_of(service)
    assert not lost, (
        f"services.{service}: jail {jail} would not have these: {'; '.join(lost)}: add each to "
        f"services.{service}.configuration (is copied), to services.{service}.data or .logs, or "
        f"its directory to jails.{jail}.mounts; or take {service} out of `order`"
    )


def in_jail(site: Site, jail: str, path: str) -> bool:
    """Whether a path of the host is in the jail, by a mount or as a copy."""
    services = [site.services[each] for each in site.jails[jail].services]
    places = [each.point for each in site.mounts(jail)]
    for each in services:
        places += [*each.configuration, *each.data, *each.logs, *each.log_files]
    places += [f"/{each}" for each in BASE] + [f"/usr/local/{each}" for each in LOCAL]
    at = PurePosixPath(path)
    # /home may be a link to usr/home, in the jail as on the host.
    ways = [at, PurePosixPath(f"/usr{path}")] if at.is_relative_to("/home") else [at]
    return any(way.is_relative_to(place) for way in ways for place in places)


def _named(host: Any, site: Site, service: str) -> Iterator[tuple[str, str]]:
    """Each path that the configuration names, and where."""
    lines = list(_loaded(_lines(host, site.services[service].configuration)))
    root = _server_root(lines)
    for line in lines:
        place = f"{line.file}:{line.number}"
        if line.directive in ARGUMENT and len(line.words) > ARGUMENT[line.directive]:
            path = line.words[ARGUMENT[line.directive]]
            if not path.startswith(("|", "syslog")) and not re.search(r"[$%*?\[]", path):
                yield _path(root, path, line.directive), place
        elif line.directive in _HANDLERS and site.accounts.handler != "fpm":
            yield from ((each, place) for each in re.findall(r"unix:([^|]+)", line.words[-1]))
        elif line.directive == "loadmodule" and line.words[1].startswith("php"):
            yield from ((each, f"{place} (PHP reads it)") for each in _PHP)


def _path(root: str, path: str, directive: str) -> str:
    """Of a log the directory must be there. /var/log is in every jail."""
    whole = PurePosixPath(root, path)
    return str(whole.parent if directive in _LOGS and str(whole.parent) != "/var/log" else whole)


def _server_root(lines: list[Line]) -> str:
    return next((line.words[1] for line in lines if line.directive == "serverroot"), "/usr/local")


def _lines(host: Any, places: tuple[str, ...]) -> list[Line]:
    """The directives that are read here, in all files, whether Apache loads them or not."""
    pattern = f"^[[:space:]]*({_READ})[[:space:]]"
    said = host.run(
        f"find -H {' '.join(places)} -type f -exec grep -nHIsiE {quote(pattern)} {{}} + || true"
    ).stdout
    rows = (row.split(":", 2) for row in said.splitlines())
    return [
        Line(row[0], row[1], [one or other for one, other in _WORD.findall(row[2])])
        for row in rows
        if len(row) == 3  # FILE:NUMBER:TEXT
    ]


def _loaded(lines: list[Line]) -> Iterator[Line]:
    """The lines of httpd.conf and of what it includes."""
    root = _server_root(lines)
    todo = [line.file for line in lines if line.file.endswith("/httpd.conf")][:1]
    done: set[str] = set()
    while todo:
        file = todo.pop()
        done.add(file)
        for line in lines:
            if line.file != file or len(line.words) == 1:
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
