"""How much each jail sends and receives: the counters of Cellblock's rules, added up by jail."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from rollout.errors import Refused
from rollout.site import Site

_PART = "traffic"
_MARK = "=== later"
# ipfw -a list: number, packets, bytes, the rule. The comment of our rules names the jail.
_ROW = re.compile(r"(\d+)\s+(\d+)\s+(\d+)\s+count .* // (\S+) (received|sent)")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Count:
    packets: int = 0
    bytes: int = 0

    def plus(self, other: Count) -> Count:
        return Count(self.packets + other.packets, self.bytes + other.bytes)


Counts = dict[str, dict[str, Count]]
"""Jail -> "received" and "sent" -> the count since the rules were added."""


def read(site: Site, run: Callable[[str], str], seconds: int) -> list[dict[str, Any]]:
    """Read the counters, in one round trip, with rates over so many seconds unless that is 0.

    Raises Refused if there are none.
    """
    listed = f"ipfw -a list {site.places[_PART].number} 2>/dev/null || true"
    later = f"; echo '{_MARK}'; sleep {seconds}; {listed}" if seconds else ""
    before, _, after = run(listed + later).partition(_MARK)
    first, last = counts(before), counts(after or before)
    if not last:
        raise Refused(
            "the host has no Cellblock counters",
            todo=f"apply the step {_PART!r}; it has to be in the order of {site.path}",
        )
    return [_row(jail, first, last, seconds) for jail in last]


def counts(listed: str) -> Counts:
    """Add up the counters in the output of `ipfw -a list`."""
    found: Counts = {}
    for row in listed.splitlines():
        if match := _ROW.fullmatch(row.strip()):
            jail, way = match[4], match[5]
            ways = found.setdefault(jail, {"received": Count(), "sent": Count()})
            ways[way] = ways[way].plus(Count(int(match[2]), int(match[3])))
    return found


def _row(jail: str, first: Counts, last: Counts, seconds: int) -> dict[str, Any]:
    row: dict[str, Any] = {"jail": jail}
    for way, now in last[jail].items():
        row[way] = {"packets": now.packets, "bytes": now.bytes}
        if seconds:
            then = first.get(jail, {}).get(way, Count())
            row[way]["packets_per_second"] = round((now.packets - then.packets) / seconds, 1)
            row[way]["bytes_per_second"] = round((now.bytes - then.bytes) / seconds, 1)
    return row


def table(data: list[dict[str, Any]]) -> str:
    rated = any("bytes_per_second" in each["received"] for each in data)
    headers = ["jail"]
    for way in ("received", "sent"):
        headers += [way, "packets", *(["rate"] if rated else [])]
    rows = []
    for each in data:
        row = [each["jail"]]
        for way in ("received", "sent"):
            row += [_size(each[way]["bytes"]), each[way]["packets"]]
            if rated:
                row.append(f"{_size(each[way]['bytes_per_second'])}/s")
        rows.append(row)
    text = tabulate(rows, headers, disable_numparse=True)
    if any(each["jail"] == "by-nat" for each in data):
        text += (
            "\nby-nat: answers to connections that jails with nat opened, counted before nat"
            "\ntranslates them, so the jail is not known. Answers to the host's own connections, at"
            "\nports from 32768 on, are among them."
        )
    return text


def _size(bytes_: float) -> str:
    unit = 0
    while bytes_ >= 1024 and unit < len(_UNITS) - 1:
        bytes_ /= 1024
        unit += 1
    return f"{bytes_:.1f} {_UNITS[unit]}" if unit else f"{bytes_:.0f} B"


def tcpdump(site: Site, name: str) -> list[str]:
    """The commands that show one jail's packets on the host: from outside, and within the host.

    A forwarded connection has the public address and port; tcpdump sees packets after nat.
    Raises Refused for an unknown jail.
    """
    if name not in site.jails:
        raise Refused(
            f"there is no jail {name!r} in {site.path}",
            todo=f"expected one of {', '.join(site.jails)}",
        )
    jail, wan = site.jails[name], site.host.wan_address
    ports = [
        f"{listen.proto} port {listen.port}"
        for service in jail.services
        for listen in site.services[service].ports
        if listen.public
    ]
    terms = [f"(host {wan} and ({' or '.join(ports)}))"] if ports else []
    terms += [f"host {address}" for address in jail.public_addresses]
    lines = [f"tcpdump -n -i {site.host.wan_interface} '{' or '.join(terms)}'"] if terms else []
    return [*lines, f"tcpdump -n -i {site.lan.interface} 'host {jail.address}'"]
