"""The daemons that listen on a host, by the rc scripts that have started them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from operations.needs import Listener
from survey.facts import Script
from survey.host import Host


@dataclass(frozen=True)
class Daemon:
    """`listens` are its IPv4 sockets, `users` the accounts that have them."""

    script: Script
    listens: tuple[Listener, ...]
    users: tuple[str, ...]

    @property
    def pids(self) -> frozenset[str]:
        return frozenset(each.pid for each in self.listens)

    @property
    def user(self) -> str:
        """The one as which it works: not root, if others have its sockets, too."""
        return next((each for each in self.users if each != "root"), "root")

    def at(self, proto: str, port: int) -> list[Listener]:
        return [e for e in self.listens if e.proto.startswith(proto) and e.port == port]


def by_script(host: Host) -> tuple[dict[str, Daemon], tuple[Listener, ...]]:
    """Those of rc scripts, by the script's name; and all other sockets that are listened at."""
    known: dict[str, list[Listener]] = {}
    unknown = []
    scripts: dict[str, Script] = {}
    for each in host.running.listening():
        script = host.script_of(each)
        if script is None:
            unknown.append(each)
        else:
            scripts[script.name] = script
            known.setdefault(script.name, []).append(each)
    # A worker has its parent's sockets, and no rc script tells of it.
    owner = {_socket(each): name for name, listens in known.items() for each in listens}
    for each in unknown:
        if name := owner.get(_socket(each)):
            known[name].append(each)
    others = [each for each in unknown if _socket(each) not in owner]
    found = {
        name: Daemon(scripts[name], tuple(e for e in each if "4" in e.proto), _users(host, each))
        for name, each in known.items()
    }
    return found, tuple(others)


def _socket(listener: Listener) -> tuple[str, str, str, int]:
    return listener.command, listener.proto, listener.address, listener.port


def _users(host: Host, listens: Iterable[Listener]) -> tuple[str, ...]:
    pids = dict.fromkeys(each.pid for each in listens)
    return tuple(dict.fromkeys(user for pid in pids for user in host.users.get(pid, ())))


def ports(
    daemon: Daemon,
    probes: Mapping[int, str],
    *,
    udp: Iterable[int] = (),
    without: Iterable[int] = (),
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """The entries of `ports`. `more` are keys of a kind of probe, as the name of dns."""
    pairs = dict.fromkeys(
        (each.proto[:3], each.port)
        for each in sorted(daemon.listens, key=lambda each: (each.port, each.proto))
        if each.proto.startswith("tcp") or each.port in udp
    )
    found = []
    for proto, port in pairs:
        if proto == "tcp" and port in without:
            continue
        probe = probes.get(port, "tcp")
        if probe == "dns" and proto == "tcp":
            probe = "dns-tcp"
        entry: dict[str, Any] = {"port": port}
        entry |= {"proto": proto} if proto == "udp" else {}
        entry |= {"probe": probe} if probe != "tcp" else {}
        entry |= (more or {}).get(probe, {})
        entry |= {} if is_public(daemon, proto, port) else {"public": False}
        found.append(entry)
    return found


def is_public(daemon: Daemon, proto: str, port: int) -> bool:
    """Whether clients elsewhere reach it. Of one at another address than the public one alone the
    check says what to do.
    """
    there = daemon.at(proto, port)
    return any(each.for_others for each in there)


def seen(daemon: Daemon) -> str:
    """Where the ports were seen."""
    ends = dict.fromkeys(f"{each.address}:{each.port}/{each.proto}" for each in daemon.listens)
    names = "/".join(dict.fromkeys(each.command for each in daemon.listens))
    some = [*ends][:6]
    more = f" and {len(ends) - 6} more" * (len(ends) > 6)
    return f"sockstat -46l: {names} listens at {', '.join(some)}{more}"
