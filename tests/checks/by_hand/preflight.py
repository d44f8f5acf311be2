"""Is this the server that the site file describes, and is it well?"""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site


def is_a_freebsd_that_we_know(site: Site) -> Iterator[Look]:
    yield Look("uname -sr", f"FreeBSD 1{ANY}")


def we_are_root(site: Site) -> Iterator[Look]:
    yield Look("id -u", "0")


def has_the_wan_address(site: Site) -> Iterator[Look]:
    address = site.host.wan_address
    yield Look(
        f"ifconfig {site.host.wan_interface} | grep -w 'inet {address}'", f"inet {address} {ANY}"
    )


def has_the_public_addresses_of_jails(site: Site) -> Iterator[Look]:
    wanted = [each for jail in site.jails.values() for each in jail.public_addresses]
    for address in wanted or [site.host.wan_address]:
        yield Look(f"ifconfig -a | grep -w 'inet {address}'", f"inet {address} {ANY}")


def daemon_runs(site: Site, service: str) -> Iterator[Look]:
    yield Look(f"service {site.services[service].rc} onestatus", f"{ANY} is running {ANY}")


def listens(site: Site, service: str) -> Iterator[Look]:
    for listen in site.services[service].ports:
        yield Look(
            f"sockstat -46lq -j 0 -P {listen.proto} -p {listen.port}", f"{ANY}:{listen.port} {ANY}"
        )


def no_port_is_left_behind(site: Site, service: str) -> Iterator[Look]:
    """On the machine's own addresses the daemon may serve what it likes."""
    first, named = site.services[service].ports[0], "|".join(map(str, site.tcp_ports))
    pid = f"sockstat -46lq -j 0 -P {first.proto} -p {first.port} | awk 'NR == 1 {{print $3}}'"
    rest = f"$3 == pid && $6 !~ /^127[.]|^::1:|:([*]|{named})$/"
    yield Look(f"sockstat -46lq -j 0 -P tcp | awk -v pid=$({pid}) '{rest}'")


def no_ipv6_clients_are_left_behind(site: Site, service: str) -> Iterator[Look]:
    """Either the server has no IPv6 address for the world, or the daemon does not listen on one."""
    ports = ",".join(str(listen.port) for listen in site.services[service].ports if listen.public)
    public = f"ifconfig {site.host.wan_interface} | grep inet6 | grep -qv fe80:"
    yield Look(f"if {public}; then sockstat -6lq -p {ports or 0}; fi")


def data_has_room(site: Site, directory: str) -> Iterator[Look]:
    wanted = site.run.free_space_mib * 1024
    answer = f'END {{print ($4 >= {wanted}) ? "enough" : "too little"}}'
    yield Look(f"df -k {directory} | awk '{answer}'", "enough")


def configuration_is_right(site: Site, service: str) -> Iterator[Look]:
    yield Look(f"{site.services[service].configtest} >/dev/null && echo right", f"{ANY}right")


def configuration_is_there(site: Site, path: str) -> Iterator[Look]:
    yield Look(f"ls -d {path}", path)
