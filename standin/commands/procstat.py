"""procstat(1): what a process has open, as far as the model knows it.

It ends at the first process that is not there (usr.bin/procstat/procstat.c; seen on 15.0).
"""

from __future__ import annotations

from standin.commands import command
from standin.linux.shim import Call, Reply, Unknown, getopt
from standin.model.daemon import Daemon
from standin.model.host import Host

USAGE = "usage: procstat [-h] [-C] [-M core] [-N system] [-w interval] [options] [pid ...]\n"
HEADER = "  PID COMM                FD T V FLAGS    REF  OFFSET PRO NAME        \n"


@command("/usr/bin/procstat")
def procstat(host: Host, call: Call) -> Reply:
    found, pids = getopt(call, "f", USAGE, 1)
    if "f" not in found or not pids or call.rootdir.name:
        raise Unknown(USAGE, 1)
    out = ""
    for pid in pids:
        daemon = next(
            (one for one in host.daemons if int(pid) in (one.pid, *one.worker_pids)), None
        )
        if daemon is None:
            gone = "procstat: sysctl(kern.proc): No such process\nprocstat: procstat_getprocs()\n"
            return Reply(out and HEADER + out, gone, 1)
        whose = f"{pid:>5} {daemon.kind.process:<16}"
        out += "".join(
            f"{whose} {fd:>5} v {kind} {flags}------   -       - -   {name} \n"
            for fd, kind, flags, name in _open(host, daemon)
        )
        out += "".join(f"{whose} {row}\n" for row in _sockets(daemon))
    return Reply(HEADER + out)


def _open(host: Host, daemon: Daemon) -> list[tuple[str, str, str, str]]:
    """Descriptor, kind, flags and path of each, as the host sees it."""

    def seen(path: str) -> str:
        place = daemon.rootdir.path(path).relative_to(host.rootdir.root)
        return f"/{place}" if place.parts else "/"

    return [
        ("text", "r", "r-", seen(daemon.kind.binary)),
        ("cwd", "d", "r-", seen(daemon.folder or "/")),
        ("root", "d", "r-", seen("/")),
        *(
            (str(fd), "r", "rw", seen(path))
            for fd, path in enumerate(daemon.kind.writes(daemon.rootdir), 20)
        ),
    ]


def _sockets(daemon: Daemon) -> list[str]:
    """Those at which it listens, as 13.2's usr.bin/procstat/procstat_files.c prints them."""
    rows = []
    for each in daemon.sockets:
        dot, any_address = (".", "::") if each.proto.endswith("6") else (":", "0.0.0.0")  # noqa: S104 # printed
        at = any_address if each.address == "*" else each.address
        proto = each.proto[:3].upper()
        rows.append(_socket(each.fd, proto, f"{at}{dot}{each.port} {any_address}{dot}0"))
    for unix in daemon.kind.unix(daemon.rootdir):
        proto = {"stream": "UDS", "dgram": "UDD"}.get(unix.kind, "UD?")
        rows.append(_socket(unix.fd, proto, unix.path or "-"))
    return rows


def _socket(fd: int, proto: str, name: str) -> str:
    return f"{fd:>5} s - rw------   1       0 {proto:<3} {name}"
