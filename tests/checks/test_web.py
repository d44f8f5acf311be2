"""What Apache's configuration names is in the jail: pages, passwords, logs, certificates, PHP."""

from __future__ import annotations

import re
from shlex import quote
from typing import Any

from operations import apache
from operations.carried import Ask, Further
from operations.companion import Enabled
from operations.facts import Rotated
from operations.jail import PROGRAMS
from rollout.site import Site
from tests.checks.asking import asking


def test_named_paths_are_in_the_jail(host: Any, site: Site, service: str) -> None:
    """By a mount, as a copy, or brought along; else the place that names them is told."""
    ask, jail, further = asking(host), site.jail_of(service), _further(site, service)
    lost = [f"{each.said}: {each.path}" for each in further.lost(ask)]
    if pools := _pools(host, ask, site, service):
        lost = [each for each in lost if each.rpartition(" ")[2] not in pools]
    assert not lost, (
        f"services.{service}: jail {jail} would not have these: {'; '.join(lost)}: add each to "
        f"services.{service}.configuration (is copied), to services.{service}.data or .logs, or "
        f"its directory to jails.{jail}.mounts; the daemon of a socket, to "
        f"services.{service}.companions; or take {service} out of `order`"
    )
    shown = further.shown(ask)
    rotated = ask(Rotated, logs=[f"{each.path}/" for each in shown])
    assert not rotated, (
        f"services.{service}: the host's newsyslog rotates logs in a directory that jail {jail} "
        f"will be able to write to ({'; '.join(rotated)}): add the directory to "
        f"services.{service}.logs, so that the jail rotates them"
    )


def test_local_backends_are_reached(host: Any, site: Site, service: str) -> None:
    """In a jail 127.0.0.1 is the jail: who listens there must be known, and led to."""
    ask, jail = asking(host), site.jail_of(service)
    known = {str(port) for each in site.services.values() for port in each.tcp_ports}
    pools = _pools(host, ask, site, service)
    lines = ask(apache.Directives, places=site.services[service].configuration).lines
    lost = [
        f"{place}: {url}"
        for url, port, place in apache.backends(lines)
        if port not in known and not re.search(rf"(?m)^\s*listen\s*=.*\b{port}\s*$", pools)
    ]
    assert not lost, (
        f"services.{service}: jail {jail} would not reach these: {'; '.join(lost)}: describe the "
        "daemon that listens there as [services.NAME], with that port, and leave NAME out of "
        f"`order`; or let it move along in services.{service}.companions"
    )


def test_jail_has_what_is_named(host: Any, site: Site, service: str) -> None:
    """Not only by the site file: asked in the jail, for each path that exists on the host."""
    ask, jail = asking(host), site.jail_of(service)
    named = apache.Configuration(site.services[service].configuration).named(ask)
    paths = {each.path: each.said for each in named if each.kind != "other"}
    asked = f'for each in {" ".join(map(quote, paths))}; do [ -e "$each" ] || echo "$each"; done'
    missing = host.check_output("jexec %s sh -c %s", jail, asked).splitlines()
    assert not missing, f"jail {jail} does not have these: " + "; ".join(
        f"{paths[each]}: {each}" for each in missing
    )


def _further(site: Site, service: str) -> Further:
    return Further(
        names=(apache.Configuration(site.services[service].configuration),),
        there=(*site.paths(site.jail_of(service)), *PROGRAMS),
        trees=site.base.jails,
    )


def _pools(host: Any, ask: Ask, site: Site, service: str) -> str:
    """The configuration of the companions that move along, and that of cellblock's own php-fpm."""
    places = [
        path
        for each in site.companions(service)
        if ask(Enabled, script=each.rc)
        for path in each.configuration
    ]
    if site.accounts.handler == "fpm":
        places.append("/usr/local/etc/php-fpm.conf")
    found = f"find -H {' '.join(map(quote, places))} -type f -exec cat {{}} +"
    return str(host.run(f"{found} 2>/dev/null || true").stdout) if places else ""
