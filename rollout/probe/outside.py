"""Asks the services as their users do: what the prober watches, and what the checks ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from socket import create_connection
from types import MappingProxyType
from typing import Any

from rollout.errors import Refused
from rollout.host.session import Ssh
from rollout.probe import outage, udp
from rollout.probe.outage import Timeline
from rollout.probe.prober import Prober
from rollout.probe.protocols import KINDS
from rollout.probe.socket_owner import SocketOwner
from rollout.probe.tls import Certificate
from rollout.probe.transfer import TcpSink, Transfer, read
from rollout.probe.watch import Watch
from rollout.site import Listen, Site

_ANSWER_WITHIN = 15.0  # seconds
_CERTIFICATE_WITHIN = 5.0  # seconds, for one attempt

Doors = Mapping[tuple[str, int, str], tuple[str, int]]
"""For a host that is only reached through forwarded ports: where this machine finds each public
port, as (address, port, proto) -> (address, port). One that is not named is at the host itself.
"""


def translated(site: Site) -> Doors:
    """Where this machine finds the ports of a host whose addresses a router translates."""
    ports = {(each.port, each.proto) for one in site.services.values() for each in one.ports}
    if site.egress.probe_port:
        ports.add((site.egress.probe_port, "tcp"))
    return {
        (str(address), port, proto): (str(seen), port)
        for address, seen in site.host.seen_at.items()
        for port, proto in ports
    }


def watches(
    site: Site, control: Path | None = None, doors: Doors | None = None
) -> tuple[Watch, ...]:
    """A watch for every public port of every service, moved or not.

    `control` is the control socket of a stand-in. A stand-in has no network and tells who would
    answer a client. Its private ports are watched, too, from the host (elsewhere: private.py).
    """
    found = []
    ways = translated(site) if doors is None else doors
    for name, service in site.services.items():
        for listen in service.ports:
            wan = str(site.host.wan_address)
            address, port = ways.get((wan, listen.port, listen.proto), (wan, listen.port))
            if control:
                source = "outside" if listen.public else "host"
                more = {"control": control, "proto": listen.proto, "source": source}
                found.append(watched(site, name, listen, wan, listen.port, kind="standin", **more))
            elif listen.public:
                found.append(watched(site, name, listen, address, port))
    return tuple(found)


def watched(site: Site, name: str, listen: Listen, address: str, port: int, **more: Any) -> Watch:
    """The watch for a service's port, which this machine reaches at `address` and `port`."""
    named = "query" if listen.probe in ("dns", "dns-tcp") else "host"
    probe: dict[str, Any] = {"kind": listen.probe, "path": listen.path, named: listen.name}
    probe["has_certificate"] = listen.has_certificate
    wan = site.host.wan_address
    if (address, port) != (str(wan), listen.port):
        probe["behind"] = listen.port
        probe["host"] = probe.get("host") or str(site.host.seen_at.get(wan, wan))
    probe |= {"rate": site.run.probes_per_second, "timeout": site.run.probe_timeout}
    label = labels(site)[name, listen.port, listen.proto]
    place = {"name": label, "address": address, "port": port}
    return Watch.model_validate(place | probe | more)


def labels(site: Site) -> dict[tuple[str, int, str], str]:
    """The label of each port in reports: (service, port, protocol) -> label.

    The only public port of a service, or its only port, has the name of the service as its label.
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
    watches: Sequence[Watch], socket_owner: Sequence[str] | None, results: Path
) -> Iterator[None]:
    """Watch the services while the context lasts. Raises Refused if one never answers at first."""
    if not watches:
        yield
        return
    with Prober(watches, socket_owner, results):
        deadline = time.monotonic() + _ANSWER_WITHIN
        silent = list(watches)
        while silent and time.monotonic() < deadline:
            time.sleep(0.2)
            timelines = outage.read(results)
            silent = [watch for watch in watches if not _ever_answered(timelines, watch.name)]
        if silent:
            raise Refused(
                "ports of the site do not answer, so their outage cannot be measured",
                evidence="\n".join(
                    f"{watch.name}: {watch.address}:{watch.port} ({watch.kind})" for watch in silent
                ),
                todo="make sure that they run and that this machine can reach them; "
                "a port that is only for the host and its jails needs public = false in the site "
                "file",
            )
        yield


def _ever_answered(timelines: Mapping[str, Timeline], service: str) -> bool:
    timeline = timelines.get(service)
    return timeline is not None and any(probe.ok for probe in timeline.probes)


def presented(watch: Watch) -> Certificate:
    """The certificate that a port presents to a client that connects now."""
    with KINDS[watch.kind](watch).answered(time.monotonic() + _CERTIFICATE_WITHIN) as answer:
        if answer.certificate is None:
            raise LookupError("an answer without a certificate")
        return Certificate.of(answer.certificate)


class Certificates:
    """The certificates that TLS ports presented at the start of a run, to compare them with now."""

    def __init__(self, ask: Callable[[Watch], Certificate] = presented) -> None:
        self.ask = ask
        self._watches: dict[str, Watch] = {}
        self._first: dict[str, Certificate] = {}

    def watch(self, watches: Sequence[Watch]) -> None:
        """Ask these from now on, in place of earlier ones."""
        self._watches = {each.name: each for each in watches}
        self._first = {}

    def remember(self) -> None:
        """Ask each TLS port now. One that does not answer is reported by `changed`."""
        for name, watch in self._watches.items():
            if watch.has_certificate:
                with suppress(Exception):  # whatever it raises is no answer, as for a probe
                    self._first[name] = self.ask(watch)

    def changed(self, site: Site, service: str, listen: Listen) -> str | None:
        """What has changed at a port since the start of the run; "" if nothing has, None for a port
        that is not watched.

        Without `remember`, what is presented now counts as the start.
        """
        name = labels(site)[service, listen.port, listen.proto]
        return self._changed(name) if name in self._watches else None

    def _changed(self, name: str) -> str:
        deadline = time.monotonic() + _ANSWER_WITHIN
        while True:
            try:
                now = self.ask(self._watches[name])
            except Exception as error:  # whatever it is, a client got no certificate
                if time.monotonic() > deadline:
                    return f"presents no certificate ({type(error).__name__}: {error})"
                time.sleep(0.5)
                continue
            first = self._first.setdefault(name, now)
            return "" if now == first else f"presents another certificate: {now}; before: {first}"


class FromOutside:
    """Asks a public port as a client would, and asks the host who answered."""

    def __init__(self, target: Ssh, doors: Doors = MappingProxyType({})) -> None:
        self.certificates = Certificates()
        self._target = target
        self._doors = doors
        self._socket_owner = SocketOwner(target.sh(), limit=15)

    def who(self, address: str, port: int, proto: str) -> str | None:
        door = self._doors.get((address, port, proto), (address, port))
        if proto == "udp":
            return udp.who(self._target, address, port, door)
        deadline = time.monotonic() + 30
        while True:
            with closing(create_connection(door, timeout=5)) as connection:
                who = self._socket_owner.who(connection, port)
            if who is not None or time.monotonic() > deadline:
                return who

    def sink(self) -> TcpSink:
        return TcpSink()

    def read(self, address: str, port: int, limit: float) -> Transfer:
        return read(*self._doors.get((address, port, "tcp"), (address, port)), limit)

    def close(self) -> None:
        self._socket_owner.close()
