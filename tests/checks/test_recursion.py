"""Programs in jails look up names with the host's own named, where that stays on the host."""

from __future__ import annotations

import re
from typing import Any

from operations.needs import Listener
from rollout.site import Site
from tests.checks.asking import NAME_SERVERS
from tests.checks.named_access import refusing
from tests.checks.named_conf import place, statements

_WHERE = "/usr/local/etc/namedb"
_SAYS = "recursion|allow-query|match-clients"
_NAMED = re.compile(r"nameserver\s+(\S+)")
_ANSWERED = re.compile(r"rcode: NOERROR(?s:.)* ra[ ;]")


def test_is_allowed_to_jails(host: Any, interfaces: dict[str, str], site: Site) -> None:
    """If the host's programs ask a name server of the host: jails ask it at the public address."""
    wan = site.host.wan_address
    asked = (NAME_SERVERS, "drill . NS", f"drill @{wan} . NS")
    servers, here, there = host.run("; echo ==; ".join(asked)).stdout.split("==\n")
    _, own = _first(servers, interfaces)
    used = own and _ANSWERED.search(here)
    assert not used or _ANSWERED.search(there), (
        f"{_USED}, which does not do so at {wan}, where those in jails would ask it: let it listen "
        "and answer there, or name other servers in lan.resolvers"
    )
    refused = _refused(host, site) if used else []
    assert not refused, (
        f"{_USED}, which would refuse those of {'; '.join(refused)}: add {site.lan.network} there, "
        "or name other servers in lan.resolvers"
    )


def test_name_servers_are_of_ipv4(host: Any, site: Site) -> None:
    """Jails have no IPv6: of the host's name servers they get the others."""
    servers = _NAMED.findall(host.run(NAME_SERVERS).stdout)
    own = ("::1", *map(str, (site.host.wan_address, "127.0.0.1")))
    assert not servers or any("." in each or each in own for each in servers), (
        f"/etc/resolv.conf: nameserver {' '.join(servers)}: jails have no IPv6, and could not ask "
        "these: name servers of IPv4 in lan.resolvers"
    )


def test_localhost_is_the_one_that_moves(
    host: Any, interfaces: dict[str, str], listening: list[Listener]
) -> None:
    """Jails get BIND's jail in the place of the host's own addresses, where another name server may
    answer.
    """
    server, own = _first(host.run(NAME_SERVERS).stdout, interfaces)
    there = [each for each in listening if each.port == 53 and each.proto.startswith("udp")]
    others = [each for each in there if each.command != "named" and each.address in ("*", server)]
    assert not (own and others), (
        f"/etc/resolv.conf: nameserver {server}: {others[0].command} answers there, not the named "
        "that moves (sockstat -46l -p 53). Jails would ask named in its place: name the servers "
        "that they are to ask in lan.resolvers"
    )


def _first(said: str, interfaces: dict[str, str]) -> tuple[str, bool]:
    """The first name server, and whether it is at an address of the host."""
    server = next(iter(_NAMED.findall(said)), "")
    addresses = re.findall(r"inet ([\d.]+) ", "".join(interfaces.values()))
    return server, server in ("::1", *addresses)


_USED = "programs look up names with a name server of the host (/etc/resolv.conf)"


def _refused(host: Any, site: Site) -> list[str]:
    """The jails, with the place in named.conf."""
    tree = statements(host.run("named-checkconf -px").stdout)
    clients = {name: site.jails[name].address for name in site.built}
    by = {name: said for name, each in clients.items() if (said := refusing(tree, each))}
    rows = host.run(f"grep -D skip -rnE '{_SAYS}' {_WHERE}").stdout.splitlines() if by else []
    return [
        f"jail {name}, {clients[name]} ({place(rows, each)}: {each})" for name, each in by.items()
    ]
