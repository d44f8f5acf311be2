"""sockstat(1): the listening sockets of the host and of its jails."""

from __future__ import annotations

from collections.abc import Iterator

from standin.commands import command
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model.daemon import Daemon, Socket
from standin.model.host import Host

HEADER = "USER     COMMAND    PID   FD PROTO  LOCAL ADDRESS         FOREIGN ADDRESS      \n"
USAGE = "usage: sockstat [-46ciLlnqSsUuvw] [-j jid] [-p ports] [-P protocols]\n"


@command("/usr/bin/sockstat")
def sockstat(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "46cLlnquwsSj:p:P:", USAGE, 1)
    if rest:
        raise Unknown(USAGE, 1)
    wanted = found.get("j", "")
    if wanted not in ("", "0") and host.jail(wanted) is None:
        raise Failed(f"sockstat: jail {wanted} not found\n")
    only = host.jail(wanted) if wanted else host.jail_of(call.rootdir)
    inet = bool({"4", "6"} & found.keys()) or "u" not in found
    unix = not {"4", "6", "P"} & found.keys()
    lines: list[str] = []
    for daemon in reversed(host.daemons):
        if only is not None and daemon.rootdir != only.rootdir:
            continue
        if wanted == "0" and daemon.rootdir.name:
            continue
        if "c" in found and "l" not in found:
            continue
        lines += _internet(daemon, found) if inet else []
        lines += _unix(daemon) if unix else []
    if inet and not call.rootdir.name and wanted in ("", "0"):
        lines += _offered(host, found)
    return Reply(("" if "q" in found else HEADER) + "".join(f"{line}\n" for line in lines))


def _users(daemon: Daemon) -> Iterator[tuple[str, int]]:
    yield from zip(daemon.kind.workers, daemon.worker_pids, strict=True)
    yield daemon.kind.user, daemon.pid


def _internet(daemon: Daemon, found: dict[str, str]) -> Iterator[str]:
    for user, pid in _users(daemon):
        for socket in daemon.sockets:
            if _wanted(socket, found):
                local = f"{socket.address}:{socket.port}"
                yield (
                    f"{user:<8.8} {daemon.kind.process:<10.10} {pid:<5} {socket.fd:<2} "
                    f"{socket.proto:<6} {local:<21} *:*"
                )


def _offered(host: Host, found: dict[str, str]) -> Iterator[str]:
    """Listeners of nc(1)."""
    for (address, port), (_, pid) in host.offers.items():
        if _wanted(Socket("tcp4", address, port, 3), found):
            yield f"root     nc         {pid:<5} 3  tcp4   {f'{address}:{port}':<21} *:*"


def _wanted(socket: Socket, found: dict[str, str]) -> bool:
    families = [family for family in "46" if family in found]
    if families and not any(family in socket.proto for family in families):
        return False
    if "P" in found and socket.proto[:3] not in found["P"].split(","):
        return False
    if "p" not in found:
        return True
    for part in found["p"].split(","):
        low, _, high = part.partition("-")
        if int(low) <= socket.port <= int(high or low):
            return True
    return False


def _unix(daemon: Daemon) -> Iterator[str]:
    for unix in daemon.kind.unix(daemon.rootdir):
        yield (
            f"{daemon.kind.user:<8.8} {daemon.kind.process:<10.10} {daemon.pid:<5} {unix.fd:<2} "
            f"{unix.kind:<6} {unix.path or '(not connected)'}"
        )
