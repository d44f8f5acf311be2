"""newsyslog(8) with -F (rotate now): what it does to files, and which daemons it signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from standin.commands import command
from standin.etc.passwd import gid_of, uid_of
from standin.linux import owners
from standin.linux.rootdir import RootDir
from standin.linux.shim import Call, Reply, Unknown, getopt
from standin.model.host import Host

USAGE = "usage: newsyslog [-CFNPnrsv] [-a directory] [-d directory] [-f config_file]"
MAIN = "/etc/newsyslog.conf"


@dataclass(frozen=True)
class Entry:
    log: str
    owner: str
    mode: int
    pid_file: str


def entries(rootdir: RootDir, file: str = MAIN) -> Iterator[Entry]:
    for line in (rootdir.read(file) or "").splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["<include>"]:
            folder, _, pattern = words[1].rpartition("/")
            for place in sorted(rootdir.path(folder).glob(pattern)):
                yield from entries(rootdir, f"{folder}/{place.name}")
        elif words:
            owner = words.pop(1) if ":" in words[1] else "root:wheel"
            pids = [word for word in words[5:] if word.startswith("/")]
            yield Entry(words[0], owner, int(words[1], 8), pids[0] if pids else "")


@command("/usr/sbin/newsyslog")
def newsyslog(host: Host, call: Call) -> Reply:
    """Only -F: without it nothing is old or large enough during a test."""
    found, wanted = getopt(call, "CFNPnrsva:d:f:", USAGE, 1)
    if found.keys() - {"F"}:
        raise Unknown(f"{USAGE}\n", 1)
    if "F" not in found:
        return Reply()
    err = "".join(
        _rotate(host, call.rootdir, entry)
        for entry in entries(call.rootdir)
        if (not wanted or entry.log in wanted) and call.rootdir.path(entry.log).is_file()
    )
    return Reply(err=err, exit=1 if err else 0)


def _rotate(host: Host, rootdir: RootDir, entry: Entry) -> str:
    """Rotate one log; returns the error message, or nothing."""
    log = rootdir.path(entry.log)
    log.rename(f"{log}.0")
    log.touch()
    user, _, group = entry.owner.partition(":")
    owners.change(
        host.rootdir.root,
        log,
        uid_of(rootdir, user or "root") or 0,
        gid_of(rootdir, group or "wheel") or 0,
    )
    log.chmod(entry.mode)
    if not entry.pid_file:
        return ""
    word = (rootdir.read(entry.pid_file) or "").strip()
    if not word:
        return f"newsyslog: can't open pid file: {entry.pid_file}: No such file or directory\n"
    try:
        os.kill(int(word), signal.SIGHUP)
    except ProcessLookupError:
        return f"newsyslog: can't notify daemon, pid {word}, {entry.pid_file}\n"
    return ""
