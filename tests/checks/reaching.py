"""Whom a service's configuration tells its daemon to ask: ports of this machine, other machines.

Of many of these no process has a connection when it is asked what it has open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from operations import apache, logs, mailers, php
from operations.carried import Ask
from operations.facts import FoundNames
from operations.needs import Need
from rollout.site import Site


class End(NamedTuple):
    """`address` is "" for this machine, a name, or IPv6 in brackets; `said` names it."""

    address: str
    port: str
    said: str
    proto: str = "tcp"


def named(ask: Ask, site: Site, service: str) -> list[Need]:
    """The connections of a service that its configuration names.

    At 127.0.0.1 those to services of the site file: that nobody answers elsewhere is told by the
    checks of each service.
    """
    jail = site.jail_of(service)
    inside = {port for each in site.jails[jail].services for port in site.services[each].tcp_ports}
    known = {str(port) for port in site.tcp_ports if port not in inside}
    ends = list(_ends(ask, site, service))
    at = ask(FoundNames, names=_names(ends))
    needs = []
    for each in ends:
        there = at.get(each.address, each.address)
        if there.startswith("127."):  # a name of /etc/hosts for this machine
            said = f"{each.said} ({each.address} is {there})"
            needs.append(Need("port", f"{each.proto} {there}:{each.port}", said))
        elif there:
            needs.append(Need("connection", f"{each.proto} {there}:{each.port}", each.said))
        elif each.port in known:
            needs.append(Need("port", f"{each.proto} 127.0.0.1:{each.port}", each.said))
    return needs


def _names(ends: Iterable[End]) -> list[str]:
    names = (each.address for each in ends if ":" not in each.address)
    return sorted({each for each in names if each.strip("0123456789.")})


def _ends(ask: Ask, site: Site, service: str) -> Iterator[End]:
    there = site.services[service]
    for place, name, port in ask(logs.Forwarded):
        yield End(name, port, place, "udp")
    if there.rc == "apache24":
        lines = ask(apache.Directives, places=there.configuration).lines
        settings = ask(php.Settings, places=there.configuration)
        for url, port, place in (*apache.backends(lines), *settings.backends):
            yield End("", port, f"{place}: {url}")
        for url, name, port, place in apache.elsewhere(lines):
            yield End(name, port, f"{place}: {url}")
    if there.rc in mailers.ALIASES:  # the mail server; Dovecot is asked along with it
        inside = site.jails[site.jail_of(service)].services
        said = ask(mailers.Settings, scripts=tuple(site.services[each].rc for each in inside))
        for port, place in said.ports:
            yield End("", port, f"{place}: 127.0.0.1:{port}")
        for end, place in said.others:
            name, _, port = end.rpartition(":")
            yield End(name, port, f"{place}: {end}")
