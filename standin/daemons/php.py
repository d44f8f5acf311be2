"""Users' scripts under Apache: which user would run one, by which handler, or why it is refused.

PHP itself is not modelled except for the few lines that tests/checks/accounts.sh writes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from standin.daemons import configs, start_stop
from standin.daemons.kinds import KINDS
from standin.etc.passwd import accounts, gid_of, uid_of
from standin.linux.rootdir import RootDir
from standin.model.host import Host

SUPHP_CONF = "/usr/local/etc/suphp.conf"
SERVER_ROOT = "/usr/local"
OTHERS_MAY_WRITE = 0o002
FPM = next(kind for kind in KINDS if kind.rc == "php_fpm")


class Refused(Exception):
    """The HTTP status that the client gets."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Unmodelled(Exception):
    """A script that the stand-in cannot run."""


@dataclass
class Directory:
    """A <Directory> block: the handlers of the file names in it."""

    path: str
    handlers: list[tuple[str, str]] = field(default_factory=list)
    only_below_tilde: bool = False


@lru_cache(maxsize=8)
def _pools(text: str) -> dict[str, dict[str, str]]:
    """php-fpm's pools: the socket of each -> its directives."""
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"\[(.+)\]", line.strip()):
            section = found.setdefault(match[1], {})
        elif "=" in line and not line.startswith(";"):
            name, _, value = line.partition("=")
            section[name.strip()] = value.strip()
    return {pool["listen"]: pool for pool in found.values() if "listen" in pool}


def respond(host: Host, rootdir: RootDir, path: str, name: str, at: str) -> tuple[int, str]:
    """Status and body of a GET for a path, as the Apache of this root directory sends them.

    `at` is the ADDRESS:PORT that the client asks.
    """
    file = _mapped(rootdir, f"{path}index.html" if path.endswith("/") else path, name, at)
    if file is None:
        return 404, ""
    place = rootdir.path(file)
    sent = place.suffix == ".html" and place.is_file()
    if not _may(host, rootdir, place, "www", os.R_OK if sent else 0):
        return 403, ""
    if not place.is_file():
        return 404, ""
    try:
        uid = _runs_as(host, rootdir, file, path)
    except Refused as refused:
        return refused.status, ""
    text = place.read_text()
    return 200, text if uid is None else _output(host, rootdir, text, uid)


def _mapped(rootdir: RootDir, path: str, name: str, at: str) -> str | None:
    if match := re.fullmatch(r"/~([^/]+)/(.*)", path):
        homes = {account.name: account.home for account in accounts(rootdir)}
        enabled = [line for line in configs.httpd_lines(rootdir) if line[0].lower() == "userdir"]
        if match[1] not in homes or not enabled:
            return None
        return f"{homes[match[1]]}/{enabled[0][1]}/{match[2]}"
    for line in configs.httpd_lines(rootdir):
        if line[0].lower() == "alias" and path.startswith(line[1]):
            return line[2] + path.removeprefix(line[1])
    return configs.virtual_host(rootdir, name, at).root + path


def _runs_as(host: Host, rootdir: RootDir, file: str, path: str) -> int | None:
    """The uid of the process that runs the file; None for a file that is sent as it is."""
    found = [one for one in _directories(rootdir) if file.startswith(one.path)]
    handlers = [
        (one, handler)
        for one in sorted(found, key=lambda one: len(one.path))
        for pattern, handler in one.handlers
        if re.search(pattern, file)
    ]
    if not handlers:
        return None
    directory, handler = handlers[-1]
    if directory.only_below_tilde and not path.startswith("/~"):
        raise Refused(403)
    if handler.startswith("proxy:unix:"):
        return _by_pool(host, rootdir, file, handler.removeprefix("proxy:unix:").split("|")[0])
    if handler.startswith("proxy:fcgi://"):
        return _by_pool(host, rootdir, file, handler.removeprefix("proxy:fcgi://"))
    if handler == "cgi-script":
        return _by_suexec(host, rootdir, file, path)
    return _by_suphp(host, rootdir, file)


def _by_pool(host: Host, rootdir: RootDir, file: str, socket: str) -> int:
    pool = _pools(configs.fpm_text(rootdir)).get(socket)
    if pool is None or start_stop.daemon_of(host, rootdir, FPM) is None:
        raise Refused(503)
    uid = uid_of(rootdir, pool["user"])
    if uid is None:
        raise Refused(503)
    guard = pool.get("php_admin_value[auto_prepend_file]")
    if guard and rootdir.read(guard) is None:
        raise Refused(500)
    place = rootdir.path(file)
    if guard and (host.owner(place)[0] != uid or place.stat().st_mode & OTHERS_MAY_WRITE):
        raise Refused(403)
    return uid


def _by_suexec(host: Host, rootdir: RootDir, file: str, path: str) -> int:
    """suexec's rules here: below /~NAME/, owned by NAME, executable, writable by no other."""
    place = rootdir.path(file)
    found = place.stat()
    uid = uid_of(rootdir, path[2:].partition("/")[0])
    writable = (found.st_mode | place.parent.stat().st_mode) & (stat.S_IWGRP | OTHERS_MAY_WRITE)
    if uid is None or host.owner(place)[0] != uid or writable or not found.st_mode & stat.S_IXUSR:
        raise Refused(500)
    return uid


def _by_suphp(host: Host, rootdir: RootDir, file: str) -> int:
    """The owner, if min_uid and allow_file_others_writeable of suphp.conf permit it."""
    text = rootdir.read(SUPHP_CONF) or ""
    given = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    place = rootdir.path(file)
    uid, gid = host.owner(place)
    known = any(account.uid == uid for account in accounts(rootdir))
    open_ = place.stat().st_mode & OTHERS_MAY_WRITE
    home = next((account.home for account in accounts(rootdir) if account.uid == uid), "")
    root = given.get("docroot", "/").replace("${HOME}", home)
    if (
        not known
        or not rootdir.inner(file).startswith(rootdir.inner(root).rstrip("/") + "/")
        or uid < int(given.get("min_uid", "100"))
        or gid < int(given.get("min_gid", "100"))
        or (open_ and given.get("allow_file_others_writeable") != "true")
    ):
        raise Refused(500)
    return uid


def _directories(rootdir: RootDir) -> Iterator[Directory]:
    current: Directory | None = None
    pattern = ""
    for words in configs.httpd_lines(rootdir):
        match words[0].lower():
            case "<directory":
                current = Directory(words[1].removesuffix(">").strip('"'))
            case "</directory>" if current:
                yield current
                current = None
            case "<filesmatch":
                pattern = words[1].removesuffix(">").strip('"')
            case "</filesmatch>":
                pattern = ""
            case "sethandler" if current and pattern:
                current.handlers.append((pattern, words[1]))
            case "<if" if current:
                current.only_below_tilde = "%{REQUEST_URI} !~ m#^/~#" in " ".join(words)


def _output(host: Host, rootdir: RootDir, text: str, uid: int) -> str:
    """The output of the probe of tests/checks/accounts.sh."""
    wanted = re.search(r"@file_get_contents\('([^']*)'\)", text)
    if wanted is None or "fileowner" not in text:
        raise Unmodelled("only the probe of tests/checks/accounts.sh can be run")
    name = next((one.name for one in accounts(rootdir) if one.uid == uid), str(uid))
    reads = _may(host, rootdir, rootdir.path(wanted[1]), name, os.R_OK)
    return f"\ncellblock {uid} {'open' if reads else 'closed'}\n"


def _may(host: Host, rootdir: RootDir, place: Path, name: str, how: int) -> bool:
    """Whether a user can reach a file: all directories above it are open, the file for `how`."""
    root = rootdir.root
    above = [one for one in place.parents if one.is_relative_to(root) and one != root]
    asked = [(one, os.X_OK) for one in above] + ([(place, how)] if how else [])
    return all(one.exists() and _allowed(host, rootdir, one, name, bit) for one, bit in asked)


def _allowed(host: Host, rootdir: RootDir, place: Path, name: str, bit: int) -> bool:
    mode = place.stat().st_mode
    uid, gid = host.owner(place)
    if uid == uid_of(rootdir, name):
        return bool(mode & bit << 6)
    group = next((one.gid for one in accounts(rootdir) if one.name == name), gid_of(rootdir, name))
    return bool(mode & (bit << 3 if gid == group else bit))
