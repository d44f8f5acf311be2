"""named.conf: whether a named would do in its jail what it does on the host."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from operations.doors import Ways
from rollout.site import Site


def configuration_is_the_one_that_is_read(site: Site, service: str) -> Iterator[Look]:
    """No other file than the port's, and includes from /usr/local/etc only."""
    for name in ("named_conf", "named_flags", "named_auto_forward"):
        yield Look(f"sysrc -qin {name} | grep -iE '^yes|^/|-[ct]'")
    yield Look(f"{_grep(site, service, 'include')} | grep -v '\"/usr/local/etc/'")


def zone_files_are_the_hosts(site: Site, service: str) -> Iterator[Look]:
    """All but those of hint zones are in the data, or in a mount of the jail."""
    places = (*site.services[service].data, *(e.point for e in site.mounts(site.jail_of(service))))
    told = " ".join(f"-e '{each}/'" for each in places)
    yield Look(f"named-checkconf -px | grep -w file | grep -v {told}", ANY)


def programs_ask_it_over_ipv4(site: Site, service: str) -> Iterator[Look]:
    yield Look("grep '^nameserver[[:space:]]*::1' /etc/resolv.conf")


def answers_by_who_asks(site: Site, service: str) -> Iterator[Look]:
    yield Look(_grep(site, service, "match-destinations|allow-[a-z-]+-on"))


def addresses_are_the_jails(site: Site, service: str, ways: Ways | None) -> Iterator[Look]:
    """Each has the public address, 127.0.0.1 or any, written as such."""
    yield Look(_grep(site, service, "listen-on|-source"), ANY)


def lets_in_the_same_clients(site: Site, service: str) -> Iterator[Look]:
    """Read each list as it is for the jails' addresses and the public one."""
    yield Look(_grep(site, service, "blackhole|match-clients|allow-"), ANY)


def jail_lets_in_the_same_clients(site: Site, service: str) -> Iterator[Look]:
    """The jail has its addresses, and networks in the place of localnets and localhost."""
    asked = f"{{ named-checkconf -px; jexec {site.jail_of(service)} named-checkconf -px; }}"
    yield Look(f"{asked} | sort | uniq -u", ANY)


def _grep(site: Site, service: str, words: str) -> str:
    return f"grep -D skip -rnE '{words}' {' '.join(site.services[service].configuration)}"


def servers_that_it_asks_are_not_at_localhost(site: Site, service: str) -> Iterator[Look]:
    names = "forwarders|primaries|masters|also-notify|parental-agents|server-addresses"
    found = f"/{names}/ {{on = 1}} on && /127[.]|::1/ {{print}} /}}/ {{on = 0}}"
    yield Look(f"named-checkconf -px | awk '{found}'")


def servers_that_it_asks_are_reached(site: Site, service: str) -> Iterator[Look]:
    """For each address: `route -n get ADDRESS` must have the interface of the public address."""
    names = "forwarders|primaries|masters|also-notify|parental-agents|server-addresses"
    found = f"/{names}/ {{on = 1}} on && /[0-9][.]/ {{print}} /}}/ {{on = 0}}"
    yield Look(f"named-checkconf -px | awk '{found}'", ANY)
