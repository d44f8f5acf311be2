"""Connections that jails open get out; nat leaves forwarded connections alone."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from operations.offload import HARMFUL
from rollout.site import Site

_ZEROS = "dd if=/dev/zero bs=64k count=64"
_BYTES = str(64 * 65536)
_PORT = 9000  # on the other machine


def offload_is_off(site: Site, at_boot: str) -> Iterator[Look]:
    options = "|".join(HARMFUL)
    yield Look(f"ifconfig {site.host.wan_interface} | grep options= | grep -E '{options}'")
    yield Look(f"cat {at_boot}", f"{ANY}{site.host.wan_interface} -tso -lro -vlanhwtso{ANY}")


def nat_skips_the_hosts_own_packets(site: Site) -> Iterator[Look]:
    source = f"any|me|{str(site.host.wan_address).replace('.', '[.]')}"
    yield Look(f"ipfw list | grep ' nat ' | grep -E ' from ({source}) ' | grep -v -w in")


def upload_works(site: Site) -> Iterator[Look]:
    jail = next(name for name in site.built if site.jails[name].outbound == "nat")
    source = f"nc -N -w 10 -s {site.jails[jail].address}"
    if site.egress.peer != "operator":
        to = str(site.egress.peer).replace(":", " ")
        yield Look(f"{_ZEROS} | {source} {to}", f"{ANY}{_BYTES} bytes {ANY}")
        return
    yield Look(f"nc -l {_PORT} | wc -c", _BYTES, "elsewhere")
    to = f'"${{SSH_CONNECTION%% *}}" {_PORT}'
    yield Look(f"{_ZEROS} | {source} {to}", f"{ANY}{_BYTES} bytes {ANY}", "meanwhile")


def download_works(site: Site) -> Iterator[Look]:
    address, port = site.jails[site.built[0]].address, site.egress.probe_port
    yield Look(f"({_ZEROS} 2>/dev/null | timeout --foreground 60 nc -N -l {address} {port} &)")
    yield Look(f"nc -d {site.host.wan_address} {port} | wc -c", _BYTES, "elsewhere")
