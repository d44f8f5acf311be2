"""The services that Cellblock knows how to move, as a site file describes them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from operations import apache, named, php
from operations.carried import is_in
from rollout.site.model import is_plain
from survey.daemons import Daemon, ports, seen
from survey.draft import Draft, Question
from survey.facts import CLIENT, Kinds, NamedConf, RootsMySQL, Zones
from survey.host import APACHE, NAMED, Host
from tests.checks import named_conf

Describe = Callable[[Host, Daemon, Draft], None]


@dataclass(frozen=True)
class Known:
    """A service by the rc scripts that start its daemon; `jail` is the one that it moves into."""

    service: str
    scripts: tuple[str, ...]
    describe: Describe
    jail: str


def _described(
    host: Host,
    daemon: Daemon,
    draft: Draft,
    name: str,
    *,
    entries: list[dict[str, Any]],
    user: str = "root",
) -> str:
    """What all have. Returns the name of the table."""
    table, script = f"services.{name}", daemon.script
    draft.put(table, "rc", script.name, f"service {script.name} onestatus: it runs")
    draft.put(
        table, "rcvar", script.rcvar, host.place(script.rcvar) or f"service {script.name} rcvar"
    )
    if user != "root":
        draft.put(table, "user", user, "sockstat -46l: the account that has its sockets")
    draft.put(table, "ports", entries, seen(daemon))
    return table


_FRESH = ("/", "/etc", "/var", "/var/run", "/var/log", "/tmp", "/var/tmp", "/root")  # noqa: S108


def _bind(host: Host, daemon: Daemon, draft: Draft) -> None:
    zones: Sequence[str] = host.ask(Zones)
    forward = [each for each in zones if not each.endswith((".arpa", ".")) and "." in each]
    zone = next(iter([*forward, *zones]), ".")
    told = "named-checkconf -l: its first zone" if zones else "named-checkconf -l names no zone"
    entries = ports(
        daemon,
        {53: "dns"},
        udp=(53,),
        without=(named.CONTROL,),
        more={"dns": {"name": zone}, "dns-tcp": {"name": zone}},
    )
    table = _described(host, daemon, draft, "bind", entries=entries, user=daemon.user)
    draft.put(table, "ports", entries, f"{seen(daemon)}; name: {told}")
    draft.put(table, "configuration", [NAMED], "the port's directory of named.conf")
    tree = named_conf.statements(host.ask(NamedConf))
    home = named_conf.working_directory(tree)
    folders = {home: "directory"}
    for each in named_conf.paths(tree):
        if each.zone or each.written:
            folders.setdefault(posixpath.dirname(each.path), f"file {each.path}")
            folders.setdefault(each.path, each.word)
    there = host.ask(Kinds, paths=list(folders))
    kept = [
        each
        for each in folders
        if there.get(each) == "directory" and each != NAMED and each not in _FRESH
        if is_plain(each) and not is_in(each, ("/var/run",))
    ]
    outer = sorted(e for e in kept if not is_in(e, [other for other in kept if other != e]))
    said = "; ".join(f"{folders[each]}" for each in outer)
    draft.put(table, "data", outer, f"named-checkconf -px: {said}")
    draft.put(table, "configtest", "named-checkconf -z", "")
    pid = _first(r'pid-file "(/[^"]+)"', host.ask(NamedConf)) or "/var/run/named/pid"
    draft.put(table, "names", ["rndc", pid], "named-checkconf -px: pid-file")


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


_ITS_FILES = ("ibdata1", "aria_log_control", "mysql.ibd")


def _mysql(host: Host, daemon: Daemon, draft: Draft) -> None:
    table = _described(
        host, daemon, draft, "mysql", entries=ports(daemon, {3306: "mysql"}), user=daemon.user
    )
    own = [each for each in host.running.opened if each.pid in daemon.pids]
    places = {each.fd: each for each in own}
    data, said = "", ""
    if (cwd := places.get("cwd")) and cwd.name.startswith("/") and cwd.name not in _FRESH:
        data, said = cwd.name, f"procstat -f: the working directory of {cwd.command}"
    for each in own:
        if not data and PurePosixPath(each.name).name in _ITS_FILES:
            data, said = posixpath.dirname(each.name), f"procstat -f: {each.name} is open"
    places_ = ["/usr/local/etc/mysql"]
    draft.put(
        table,
        "configuration",
        [each for each in places_ if host.kinds.get(each) == "directory"],
        "the port's directory of option files",
    )
    draft.put(table, "data", [_as_led(host, data)] if is_plain(data) else [], said)
    socket = [path for pid, path in host.running.unix if pid in daemon.pids and path[:1] == "/"]
    socket = [each for each in socket if "mysqlx" not in each and is_plain(each)]
    if socket:
        draft.put(table, "socket", socket[0], "sockstat -u: the server listens there")
    draft.put(table, "names", ["mysqld_safe"], "the programs of the port that start and stop it")
    draft.put(table, "programs", ["mysqldump", "mariadb-dump"], "they reach it by its socket")
    if host.ask(RootsMySQL):
        draft.put(table, "client", CLIENT, f"{CLIENT} -e 'SHOW GRANTS': root may set variables")
    else:
        draft.questions.append(
            Question(
                table,
                "client",
                "With which client may Cellblock set variables of MySQL, and list its databases?",
                "It makes the gap short (dirty pages are flushed before the stop), and the "
                "databases are compared after it. mysql(1) as root may not do so without a "
                "password, and no password may stand here. Without this line MySQL moves all "
                "the same.",
                (f'client = "{CLIENT} --defaults-extra-file=/root/.my.cnf"',),
            )
        )


def _as_led(host: Host, real: str) -> str:
    """procstat follows links: the path by which the host's files call it."""
    for path, led in host.running.led:
        if is_in(real, [led]):
            return f"{path}{real.removeprefix(led)}"
    return real


_WEB_PROBES = {80: "http", 8080: "http", 443: "https", 8443: "https"}
_WWW = "/usr/local/www"


def _web(host: Host, daemon: Daemon, draft: Draft) -> None:
    places, said = _apaches(host)
    sites = [line for line in said.lines if line.directive == "servername"]
    inside = _first_of_virtual_host(said.lines) or next(iter(sites), None)
    name = {}
    if inside and (word := next(iter(apache.virtual_hosts([inside], "")), "")):
        name = {"name": word}
    entries = ports(daemon, _WEB_PROBES, more={"http": name, "https": name})
    table = _described(host, daemon, draft, "web", entries=entries, user=daemon.user)
    if name and inside:
        draft.put(table, "ports", entries, f"{seen(daemon)}; name: {inside.place}")
    told = [place for path, place in apache.includes(said.lines) if path in places]
    draft.put(
        table,
        "configuration",
        list(places),
        "; ".join(["the port's directory of httpd.conf", *told]),
    )
    served = dict(apache.pages(said.lines))
    pages = {path: place for path, place in served.items() if is_in(path, [_WWW])}
    if pages or host.kinds.get(_WWW):
        draft.put(table, "data", [_WWW], "; ".join([*pages.values()][:3]) or "the port's pages")
    draft.put(table, "names", ["apachectl", "/var/run/apache24/httpd.pid"], "of the port")
    fpm = next((each for each in host.scripts if each.name.startswith("php-fpm")), None)
    if fpm is None:
        fpm = next((e for e in host.scripts if e.name.startswith("php_fpm")), None)
    if fpm:
        own = [each for each in php.PLACES[2:] if each in host.kinds]
        draft.put(
            table,
            "companions",
            [{"rc": fpm.name, "rcvar": fpm.rcvar, "configuration": own}],
            host.place(fpm.rcvar),
        )


def _apaches(host: Host) -> tuple[tuple[str, ...], apache.Said]:
    """Where Apache's configuration is, with what it includes from elsewhere, and what it says."""
    places: tuple[str, ...] = (APACHE,)
    said: apache.Said = host.ask(apache.Directives, places=places)
    there = dict(said.there.kinds)
    more = [path for path, _ in apache.includes(said.lines) if not is_in(path, places)]
    kept = [each for each in dict.fromkeys(more) if is_plain(each) and each in there]
    if kept:
        places = (*places, *kept)
        said = host.ask(apache.Directives, places=places)
    return places, said


def _first_of_virtual_host(lines: Sequence[apache.Line]) -> apache.Line | None:
    within = False
    for line in lines:
        if "virtualhost" in line.directive:
            within = not line.directive.startswith("</")
        elif within and line.directive == "servername":
            return line
    return None


_MAIL_PROBES = {25: "smtp", 587: "smtp", 465: "smtps"}
_IMAP_PROBES = {143: "imap", 110: "pop3", 993: "imaps", 995: "pop3s"}


def _mail(host: Host, daemon: Daemon, draft: Draft) -> None:
    table = _described(host, daemon, draft, "mail", entries=ports(daemon, _MAIL_PROBES))
    places = ["/usr/local/etc/postfix"] if daemon.script.name == "postfix" else []
    draft.put(table, "configuration", [*places, "/etc/mail"], "where its script reads it")
    if host.kinds.get("/var/mail") == "directory":
        draft.put(table, "data", ["/var/mail"], "the mailboxes of accounts")


def _imap(host: Host, daemon: Daemon, draft: Draft) -> None:
    table = _described(host, daemon, draft, "imap", entries=ports(daemon, _IMAP_PROBES))
    draft.put(table, "configuration", ["/usr/local/etc/dovecot"], "where its script reads it")
    draft.questions.append(
        Question(
            table,
            "test_account",
            "With which account may a login be tried, on the host and in the jail?",
            "The answers are compared, so that a password that does not work any more is noticed "
            "before people move. The password is the first line of a file of root (mode 600) on "
            "the host, which Cellblock never reads itself. Without this line it is not tried.",
            (
                'test_account = { name = "check@example.org", '
                'password_file = "/root/check.password" }',
            ),
        )
    )


KNOWN = (
    Known("bind", ("named",), _bind, "bind"),
    Known("mysql", ("mysql-server", "mariadb-server"), _mysql, "mysql"),
    Known("web", ("apache24",), _web, "web"),
    Known("mail", ("sendmail", "postfix"), _mail, "mail"),
    Known("imap", ("dovecot",), _imap, "mail"),
)
"""In the order in which they move. A service without a subject of its own moves with its jail."""
SUBJECTS = ("bind", "mysql", "web", "mail")
