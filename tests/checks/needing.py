"""What a service's daemon needs, asked of its processes and its rc variables; how each is met."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from shlex import quote
from typing import Any, NamedTuple

from operations import mysql, rc
from operations.carried import Ask, is_in
from operations.needs import Daemons, Need, Running, Variable, Variables, served, used
from rollout.site import JOURNAL, Site
from steps.carriers import Answer, Carriers
from tests.checks import reaching
from tests.checks.named_conf import included, paths, place, statements

_PATH = re.compile(r"(?<![\w.$/-])/[^\s'\":,;]+")


_MYSQLS = ("mysql-server", "mariadb-server")


def rc_variables(ask: Ask, site: Site, service: str) -> list[Variable]:
    """Of its script and of its companions'. Those of all services are asked at once."""
    everybodys = [rcvar for each in site.services for rcvar in _rcvars(site, each)]
    found = ask(Variables, rcvars=list(dict.fromkeys(everybodys)))
    return [each for each in found if each.rcvar in _rcvars(site, service)]


def option_files(ask: Ask, site: Site, service: str) -> list[str]:
    """Where a MySQL server's options are: files, and directories that have some."""
    there = site.services[service]
    said = rc_variables(ask, site, service)
    more = [file for each in said for file in mysql.named(each.value, each.name)]
    # The port's script reads that of the data directory, if there is no other.
    return [*there.configuration, *mysql.FILES, *(f"{each}/my.cnf" for each in there.data), *more]


def of_services(ask: Ask, site: Site, carriers: Carriers) -> Running:
    """All daemons of the site's services that run on the host, asked in one round trip."""
    services = site.services.values()
    scripts = [each.rc for one in services for each in one.companions]
    found: Running = ask(
        Daemons,
        ports=sorted({each.port for one in services for each in one.ports}),
        places=carriers.places(),
        # A site without companions: what is empty is not asked at all (asking.py).
        **({"scripts": scripts} if scripts else {}),
    )
    return found


class Needs(NamedTuple):
    """Each need of a service with what becomes of it; and what could not be read."""

    met: list[tuple[Need, Answer]]
    unread: list[str]

    @property
    def refused(self) -> list[str]:
        return [f"{each.said}: {met.by}" for each, met in self.met if met.outcome == "refused"]


@dataclass(frozen=True)
class Needing:
    """What the services' daemons need: each is asked for what all of them use at once."""

    host: Any
    ask: Ask
    running: Running
    carriers: Carriers
    site: Site

    def of(self, service: str) -> Needs:
        there = self.site.services[service]
        scripts = {each.rc for each in self.site.companions(service)}
        ports = [each.port for each in there.ports]
        opened = self.running.of(ports, scripts)
        if there.pages:  # what pages run for a moment, as mail() does sendmail, comes and goes
            passing = self.running.passing
            opened = tuple(each for each in opened if each.pid not in passing)
        # Of other daemons, connections to other hosts come and go. One that an undo has started may
        # have kept the log of that step as its stderr (Dovecot does, seen on 15.0).
        stays = there.rc in _MYSQLS or there.move is not None
        found = [
            _as_named(each, self.running)
            for each in used(opened, self.running)
            if (stays or each.kind != "connection") and not is_in(each.what, [JOURNAL])
        ]
        found += served(ports, self.running)
        found += _options(self.ask, self.site, service)
        found += _named(self.host, self.site, service)
        found += _configured(self.host, self.site, service)
        found += reaching.named(self.ask, self.site, service)
        variables, paths = _variables(self.ask, self.site, service)
        once = {each[:2]: each for each in reversed([*variables, *paths, *found])}
        answers = [
            (each, self.carriers.answer(service, each, self.ask, _who(self.running, each)))
            for each in reversed(once.values())
        ]
        lost = [each.what for each, met in answers if each in paths and met.outcome == "refused"]
        absent = [("path", path) for path in _absent(self.host, lost)]
        return Needs(
            [(each, met) for each, met in answers if each not in paths or each[:2] not in absent],
            _unread(self.running, self.site, service),
        )


def _as_named(need: Need, running: Running) -> Need:
    """Under the path that a carrier has: procstat follows links."""
    for path, real in running.led:
        if need.kind not in ("port", "variable") and is_in(need.what, [real]):
            return need._replace(what=f"{path}{need.what.removeprefix(real)}")
    return need


def _variables(ask: Ask, site: Site, service: str) -> tuple[list[Need], list[Need]]:
    """The rc variables of its script and of its companions', and the paths in their values."""
    variables, paths = [], []
    for each in rc_variables(ask, site, service):
        told = f"{each.place}: {each.name}={each.value}"
        variables.append(Need("variable", each.name, told))
        paths += [Need("path", path, told) for path in _PATH.findall(each.value)]
    return variables, paths


def _options(ask: Ask, site: Site, service: str) -> list[Need]:
    """What MySQL's option files name."""
    if site.services[service].rc not in _MYSQLS:
        return []
    found = ask(mysql.Options, places=option_files(ask, site, service))
    said = [(each, f"{each.place}: {each.option}") for each in found]
    needs = [Need(_kind(each), each.path, place, each.is_written) for each, place in said]
    tables = ask(mysql.Tables, data=site.services[service].data)
    return needs + [Need("path", path, f"{file}: a table", written=True) for file, path in tables]


_TEMPORARY = ("/tmp", "/var/tmp")  # names, for a comparison


def _kind(option: mysql.Option) -> str:
    """mysqld_safe makes the error log, as root. Nobody makes directories in /tmp anew."""
    above = option.path.rpartition("/")[0]
    temporary = is_in(above, _TEMPORARY) and option.option.replace("_", "-") != "socket"
    if temporary and (above not in _TEMPORARY or option.option.lower().endswith("dir")):
        return "folder"
    is_log = option.path.rpartition("/")[0] == "/var/log" and not option.option.startswith("log")
    return "log" if is_log else "path"


def _named(host: Any, site: Site, service: str) -> list[Need]:
    """What named.conf names, and the files that it includes."""
    there = site.services[service]
    if there.rc != "named":
        return []
    found = list(paths(statements(host.run("named-checkconf -px").stdout)))
    places = " ".join(map(quote, there.configuration))
    words = "|".join(["include", *dict.fromkeys(each.word for each in found)])
    rows = host.run(f"grep -D skip -rnE '{words}' {places}").stdout.splitlines()
    # A relative one is refused by test_bind.py.
    named = [(at, path) for at, path in included(rows) if path.startswith("/")]
    needs = [Need("path", path, f"{at}: include") for at, path in named]
    for each in found:
        said = f"{place(rows, re.escape(posixpath.basename(each.path)))}: {each.word}"
        kind = "log" if each.path.rpartition("/")[0] == "/var/log" else "path"
        needs.append(Need(kind, each.path, said, each.written))
    return _as_there(host, needs)


_PATHS = r"""
!/^[ \t]*([#;]|\/\/)/ {
    rest = $0
    while (match(rest, /(^|[^A-Za-z0-9_.%~\/-])\/[A-Za-z0-9_.+@\/-]+/)) {
        path = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
        sub(/^[^\/]/, "", path); sub(/\/+$/, "", path)
        if (path != "" && path !~ /^\/\//) print FILENAME ":" FNR "\t" path
    }
}"""


def _configured(host: Any, site: Site, service: str) -> list[Need]:
    """All paths in the configuration of a daemon that only the site file knows."""
    there = site.services[service]
    if there.move is None or not there.configuration:
        return []
    places = " ".join(map(quote, there.configuration))
    rows = host.run(f"find -H {places} -type f -exec awk {quote(_PATHS)} {{}} +").stdout
    named = [row.split("\t") for row in rows.splitlines()]
    once = {path: Need("path", path, at) for at, path in reversed(named)}
    return _as_there(host, list(once.values()))


def _as_there(host: Any, needs: list[Need]) -> list[Need]:
    """Those that the host has; of what is written, the directory will do."""
    words = " ".join(quote(each.what) for each in needs)
    asked = (
        f'for each in {words}; do if [ -e "$each" ]; then echo "$each"; '
        'elif [ -d "${each%/*}/" ]; then echo "${each%/*}/"; else echo; fi; done'
    )
    rows = host.check_output(asked).splitlines() if needs else []
    return [
        each if row == each.what or each.kind == "log" else each._replace(what=row.rstrip("/"))
        for each, row in zip(needs, rows, strict=True)
        if row == each.what or (each.written and row.rstrip("/"))
    ]


def _rcvars(site: Site, service: str) -> list[str]:
    companions = [each.rcvar for each in site.companions(service)]
    return [site.services[service].rcvar, *companions, rc.LIBRARIES]


def _absent(host: Any, paths: list[str]) -> list[str]:
    """Those that the host does not have either."""
    asked = f'for each in {" ".join(map(quote, paths))}; do [ -e "$each" ] || echo "$each"; done'
    return list(host.check_output(asked).splitlines()) if paths else []


def _who(running: Running, need: Need) -> str:
    """The process that listens at a port or a socket."""
    if need.kind == "socket":
        pid = next((pid for pid, path in running.unix if path == need.what), "")
        name = next((each.command for each in running.opened if each.pid == pid), "process")
    else:
        port = need.what.rpartition(":")[2]
        found = (each for each in running.listening() if str(each.port) == port)
        pid, name = next(((each.pid, each.command) for each in found), ("", ""))
    return f"{name} {pid}" if pid else "nobody now"


def _unread(running: Running, site: Site, service: str) -> list[str]:
    ports = {each.port for each in site.services[service].ports}
    bound = {(each.command, each.pid) for each in running.listening() if each.port in ports}
    if not bound:
        told = ", ".join(map(str, sorted(ports)))
        return [f"no process listens on {told}, so none could be asked"]
    first = dict(running.first)
    if not any(pid in first for _, pid in bound):
        return [f"what listened on a port of {service} has ended while it was asked"]
    shown = {first.get(each.pid) for each in running.opened}
    return [
        f"procstat -f {pid} ({name}) shows nothing, though it listens on a port of {service}"
        for name, pid in sorted(bound)
        if pid in first and first[pid] not in shown  # a worker may be gone by now
    ]
