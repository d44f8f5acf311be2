"""What the prober watches: every public port of a site, where this machine finds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollout.probe.watch import Watch
from rollout.site import Listen, Site

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
