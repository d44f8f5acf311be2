"""Who answers, asked from where users stand: what the prober watches and what the checks ask."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from socket import create_connection
from types import MappingProxyType
from typing import Any

from rollout.errors import Refused
from rollout.host.session import Ssh
from rollout.probe import outage, udp
from rollout.probe.outage import Timeline
from rollout.probe.prober import Prober
from rollout.probe.protocols import Watch
from rollout.probe.socket_owner import SocketOwner
from rollout.probe.transfer import TcpSink, Transfer, read
from rollout.site import Site

_ANSWER_WITHIN = 15.0  # seconds

Doors = Mapping[tuple[int, str], tuple[str, int]]
"""Where this machine finds a public port and protocol of a host that it only reaches by forwarded
ports: (port, proto) -> (address, port). What is not named is at the host's own address.
"""


def watches(
    site: Site, control: Path | None = None, doors: Doors = MappingProxyType({})
) -> tuple[Watch, ...]:
    """A watch for every public port of every service, moved or not.

    `control` is the socket of a stand-in, which has no network and says itself who would answer.
    """
    found = []
    names = labels(site)
    for name, service in site.services.items():
        for listen in service.ports:
            if not listen.public:
                continue
            asked: dict[str, Any] = {"kind": listen.probe, "path": listen.path}
            if listen.probe == "http":
                asked["host"] = listen.name
            if listen.probe in ("dns", "dns-tcp"):
                asked["query"] = listen.name
            address, port = doors.get(
                (listen.port, listen.proto), (str(site.host.wan_address), listen.port)
            )
            if (listen.port, listen.proto) in doors:
                asked["behind"] = listen.port
                asked["host"] = asked.get("host") or str(site.host.wan_address)
            if control:
                asked = {"kind": "standin", "control": control, "proto": listen.proto}
            asked |= {"rate": site.run.probes_per_second, "timeout": site.run.probe_timeout}
            label = names[name, listen.port, listen.proto]
            place = {"name": label, "address": address, "port": port}
            found.append(Watch.model_validate(place | asked))
    return tuple(found)


def labels(site: Site) -> dict[tuple[str, int, str], str]:
    """What each public port is called where its answers are told: service, port, protocol -> name.

    A service's own name, if it has but one.
    """
    return {
        (name, listen.port, listen.proto): name
        if len(public) == 1
        else f"{name} {listen.port}/{listen.proto}"
        for name, service in site.services.items()
        for public in [[each for each in service.ports if each.public]]
        for listen in public
    }


@contextmanager
def watching(
    seen: Sequence[Watch], socket_owner: Sequence[str] | None, results: Path
) -> Iterator[Prober]:
    """Watch from now on. Raises Refused for a service that does not answer to begin with."""
    with Prober(seen, socket_owner, results) as prober:
        deadline = time.monotonic() + _ANSWER_WITHIN
        silent = list(seen)
        while silent and time.monotonic() < deadline:
            time.sleep(0.2)
            timelines = outage.read(results)
            silent = [watch for watch in seen if not _ever_answered(timelines, watch.name)]
        if silent:
            raise Refused(
                "public ports of the site do not answer from here, so their outage cannot be seen",
                evidence="\n".join(
                    f"{watch.name}: {watch.address}:{watch.port} ({watch.kind})" for watch in silent
                ),
                todo="see that they run and can be reached from this machine, "
                "or say public = false for the port in the site file",
            )
        yield prober


def _ever_answered(timelines: Mapping[str, Timeline], service: str) -> bool:
    timeline = timelines.get(service)
    return timeline is not None and any(probe.ok for probe in timeline.probes)


class FromOutside:
    """Asks a public port as a client would, and the host who answered."""

    def __init__(self, target: Ssh, doors: Doors = MappingProxyType({})) -> None:
        self._target = target
        self._doors = doors
        self._socket_owner = SocketOwner(target.argv("/bin/sh"))

    def who(self, address: str, port: int, proto: str) -> str | None:
        door = self._doors.get((port, proto), (address, port))
        if proto == "udp":
            return udp.who(self._target, address, port, door)
        deadline = time.monotonic() + 15
        while True:
            with closing(create_connection(door, timeout=5)) as connection:
                who = self._socket_owner.who(connection, port)
            if who is not None or time.monotonic() > deadline:
                return who

    def sink(self) -> TcpSink:
        return TcpSink()

    def read(self, address: str, port: int, limit: float) -> Transfer:
        return read(*self._doors.get((port, "tcp"), (address, port)), limit)

    def close(self) -> None:
        self._socket_owner.close()
