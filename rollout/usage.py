"""What each jail uses: packets and bytes by Cellblock's rules, the rest by rctl(8) and du(1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote
from typing import Any

from tabulate import tabulate

from rollout.errors import Refused
from rollout.site import Site

_PART = "traffic"
_MARK = "=== later"
_JAIL = "=== jail "
# ipfw -a list: number, packets, bytes, the rule. The comment of our rules names the jail.
_ROW = re.compile(r"(\d+)\s+(\d+)\s+(\d+)\s+count .* // (\S+) (received|sent)")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_TAKEN = {"memoryuse": "memory", "pcpu": "cpu", "maxproc": "processes", "disk": "disk"}
"""What rctl -u calls it (in bytes, percent of one core, and processes) -> our name."""
_UNSEEN = (
    "memory, cpu, processes: not counted by this kernel; the line kern.racct.enable=1 in"
    "\n/boot/loader.conf, and a restart, lets it count"
)


@dataclass(frozen=True)
class Count:
    packets: int = 0
    bytes: int = 0

    def plus(self, other: Count) -> Count:
        return Count(self.packets + other.packets, self.bytes + other.bytes)


Counts = dict[str, dict[str, Count]]
"""Jail -> "received" and "sent" -> the count since the rules were added."""


def read(site: Site, run: Callable[[str], str], seconds: int) -> list[dict[str, Any]]:
    """Read all of it, in one round trip, with rates over so many seconds unless that is 0.

    Raises Refused if no jail of the site runs, and none has counters.
    """
    listed = f"ipfw -a list {site.places[_PART].number} 2>/dev/null || true"
    later = f"; echo '{_MARK}'; sleep {seconds}; {listed}" if seconds else ""
    said, *parts = run(f"{listed}{later}; {_asked(site)}").split(_JAIL)
    before, _, after = said.partition(_MARK)
    first, last = counts(before), counts(after or before)
    taken = dict(map(_taken, parts))
    if not last and not taken:
        raise Refused(
            "no jail of the site file runs on the host, and it has no Cellblock counters",
            todo="apply the steps that build the jails (cellblock status says where you are)",
        )
    return [_row(jail, first, last, taken, seconds) for jail in dict.fromkeys((*taken, *last))]


def _asked(site: Site) -> str:
    """sh that prints for each jail that runs what it takes: a head, and a line NAME=AMOUNT each.

    Its disk space is its own tree, without what is mounted there, and its services' data. du(1)
    follows no link.
    """
    lines = []
    for name in site.built:
        services = [site.services[each] for each in site.jails[name].services]
        places = [f"{site.base.jails}/{name}", *(path for each in services for path in each.data)]
        lines.append(
            f"if jls -j {quote(name)} jid >/dev/null 2>&1; then echo '{_JAIL}{name}'; "
            f"rctl -u jail:{quote(name)} 2>/dev/null; du -skx {' '.join(map(quote, places))} "
            "2>/dev/null | awk '{n += $1} END {printf \"disk=%.0f\\n\", n * 1024}'; fi"
        )
    return "; ".join(lines)


def _taken(part: str) -> tuple[str, dict[str, int]]:
    name, _, lines = part.partition("\n")
    found = amounts(lines)
    return name.strip(), {ours: found[what] for what, ours in _TAKEN.items() if what in found}


def amounts(lines: str) -> dict[str, int]:
    """What `rctl -u` prints: the kernel's name of each resource, and how much is taken of it."""
    rows = (line.partition("=") for line in lines.splitlines())
    return {what: int(amount) for what, _, amount in rows if re.fullmatch(r"[0-9]{1,20}", amount)}


def counts(listed: str) -> Counts:
    """Add up the counters in the output of `ipfw -a list`."""
    found: Counts = {}
    for row in listed.splitlines():
        if match := _ROW.fullmatch(row.strip()):
            jail, way = match[4], match[5]
            ways = found.setdefault(jail, {"received": Count(), "sent": Count()})
            ways[way] = ways[way].plus(Count(int(match[2]), int(match[3])))
    return found


def _row(
    jail: str, first: Counts, last: Counts, taken: dict[str, dict[str, int]], seconds: int
) -> dict[str, Any]:
    row: dict[str, Any] = {"jail": jail}
    for way in ("received", "sent"):
        now = last.get(jail, {}).get(way)
        row[way] = None if now is None else {"packets": now.packets, "bytes": now.bytes}
        if now is not None and seconds:
            then = first.get(jail, {}).get(way, Count())
            row[way]["packets_per_second"] = round((now.packets - then.packets) / seconds, 1)
            row[way]["bytes_per_second"] = round((now.bytes - then.bytes) / seconds, 1)
    return row | {what: taken.get(jail, {}).get(what) for what in _TAKEN.values()}


def table(data: list[dict[str, Any]]) -> str:
    rated = any("bytes_per_second" in (each["received"] or {}) for each in data)
    headers = ["jail"]
    for way in ("received", "sent"):
        headers += [way, "packets", *(["rate"] if rated else [])]
    rows = []
    for each in data:
        row = [each["jail"]]
        for way in ("received", "sent"):
            found = each[way] or {}
            row += [_size(found.get("bytes")), _number(found.get("packets"))]
            if rated:
                row.append(_size(found.get("bytes_per_second"), "/s"))
        cpu = _number(each["cpu"], " %")
        rows.append(
            [*row, _size(each["memory"]), cpu, _number(each["processes"]), _size(each["disk"])]
        )
    text = tabulate(rows, [*headers, "memory", "cpu", "processes", "disk"], disable_numparse=True)
    if all(each["memory"] is None for each in data):
        text += f"\n{_UNSEEN}"
    if all(each["received"] is None for each in data):
        text += f"\nreceived, sent: nothing counts them; the step {_PART!r} does"
    if any(each["jail"] == "by-nat" for each in data):
        text += (
            "\nby-nat: answers to connections that jails with nat opened, counted before nat"
            "\ntranslates them, so the jail is not known. Answers to the host's own connections, at"
            "\nports from 32768 on, are among them."
        )
    return text


def _number(amount: int | None, unit: str = "") -> str:
    return "-" if amount is None else f"{amount}{unit}"


def _size(bytes_: float | None, per: str = "") -> str:
    if bytes_ is None:
        return "-"
    unit = 0
    while bytes_ >= 1024 and unit < len(_UNITS) - 1:
        bytes_ /= 1024
        unit += 1
    return (f"{bytes_:.1f} {_UNITS[unit]}" if unit else f"{bytes_:.0f} B") + per


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
