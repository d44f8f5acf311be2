"""procstat(1): what a process has open, as far as the model knows it."""

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
    out, err = "", ""
    for pid in pids:
        daemon = next((one for one in host.daemons if str(one.pid) == pid), None)
        if daemon is None:
            err += f"procstat: sysctl(kern.proc): No such process: {pid}\n"
            continue
        whose = f"{pid:>5} {daemon.kind.process:<16}"
        out += "".join(
            f"{whose} {fd:>5} v {kind} r-------   -       - -   {name} \n"
            for fd, kind, name in _open(host, daemon)
        )
    return Reply(HEADER + out, err, 1 if err else 0)


def _open(host: Host, daemon: Daemon) -> list[tuple[str, str, str]]:
    """Descriptor, kind and path of each, as the host sees it."""

    def seen(path: str) -> str:
        place = daemon.rootdir.path(path).relative_to(host.rootdir.root)
        return f"/{place}" if place.parts else "/"

    return [
        ("text", "r", seen(daemon.kind.binary)),
        ("cwd", "d", seen(daemon.folder or "/")),
        ("root", "d", seen("/")),
    ]
