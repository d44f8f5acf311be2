"""Who may look up names with a name server of the host."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def name_servers_are_of_ipv4(_: Site) -> Iterator[Look]:
    """At least one must have an address of IPv4."""
    yield Look("grep '^nameserver' /etc/resolv.conf", ANY)


def is_allowed_to_jails(site: Site) -> Iterator[Look]:
    """The first two must say the same; then see that the lists have the network of the jails."""
    for ask in ("drill . NS", f"drill @{site.host.wan_address} . NS"):
        yield Look(f"{ask} | head -n 2", ANY)
    lists = "allow-recursion|allow-query|match-clients"
    yield Look(f"named-checkconf -px | grep -E '{lists}'; echo {site.lan.network}", ANY)


def localhost_is_the_one_that_moves(_: Site) -> Iterator[Look]:
    """Where resolv.conf has 127.0.0.1, named alone may answer there."""
    yield Look("sockstat -4lq -P udp -p 53 | awk '$2 != \"named\" && $6 ~ /^(127[.]|[*])/'")
