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
from rollout.site import Listen, Site

_ANSWER_WITHIN = 15.0  # seconds

Doors = Mapping[tuple[int, str], tuple[str, int]]
"""Where this machine finds a public port and protocol of a host that it only reaches by forwarded
ports: (port, proto) -> (address, port). What is not named is at the host's own address.
"""


def watches(
    site: Site, control: Path | None = None, doors: Doors = MappingProxyType({})
) -> tuple[Watch, ...]:
    """A watch for every public port of every service, moved or not.

    `control` is the socket of a stand-in, which has no network and says itself who would answer;
    there the private ports are watched likewise, from the host (elsewhere: private.py).
    """
    found = []
    for name, service in site.services.items():
        for listen in service.ports:
            wan = str(site.host.wan_address)
            address, port = doors.get((listen.port, listen.proto), (wan, listen.port))
            if control:
                source = "outside" if listen.public else "host"
                asked = {"control": control, "proto": listen.proto, "source": source}
                found.append(watched(site, name, listen, wan, listen.port, kind="standin", **asked))
            elif listen.public:
                found.append(watched(site, name, listen, address, port))
    return tuple(found)


def watched(site: Site, name: str, listen: Listen, address: str, port: int, **more: Any) -> Watch:
    """The watch for a service's port, which this machine finds at `address` and `port`."""
    named = "query" if listen.probe in ("dns", "dns-tcp") else "host"
    asked: dict[str, Any] = {"kind": listen.probe, "path": listen.path, named: listen.name}
    if (address, port) != (str(site.host.wan_address), listen.port):
        asked["behind"] = listen.port
        asked["host"] = asked.get("host") or str(site.host.wan_address)
    asked |= {"rate": site.run.probes_per_second, "timeout": site.run.probe_timeout}
    label = labels(site)[name, listen.port, listen.proto]
    place = {"name": label, "address": address, "port": port}
    return Watch.model_validate(place | asked | more)


def labels(site: Site) -> dict[tuple[str, int, str], str]:
    """What each port is called where its answers are shown: service, port, protocol -> name.

    It is called like its service where that has no other public port, or no other port at all.
    """
    return {
        (name, listen.port, listen.proto): name
        if chief == [listen]
        else f"{name} {listen.port}/{listen.proto}"
        for name, service in site.services.items()
        for chief in [[each for each in service.ports if each.public] or list(service.ports)]
        for listen in service.ports
    }


@contextmanager
def watching(
    seen: Sequence[Watch], socket_owner: Sequence[str] | None, results: Path
) -> Iterator[None]:
    """Watch from now on. Raises Refused for a service that does not answer to begin with."""
    if not seen:
        yield
        return
    with Prober(seen, socket_owner, results):
        deadline = time.monotonic() + _ANSWER_WITHIN
        silent = list(seen)
        while silent and time.monotonic() < deadline:
            time.sleep(0.2)
            timelines = outage.read(results)
            silent = [watch for watch in seen if not _ever_answered(timelines, watch.name)]
        if silent:
            raise Refused(
                "ports of the site do not answer, so their outage cannot be measured",
                evidence="\n".join(
                    f"{watch.name}: {watch.address}:{watch.port} ({watch.kind})" for watch in silent
                ),
                todo="see that they run and can be reached from this machine, "
                "or say public = false for the port in the site file",
            )
        yield


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
