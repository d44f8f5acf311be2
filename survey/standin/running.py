"""What a survey says of the running host, beyond its files: cards, file systems, and what somebody
typed and no boot would do again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface
from shlex import quote

from operations.carried import is_in
from rollout.host.survey import Recording
from standin.daemons.kinds import KINDS
from standin.model.hardware import NIC_OPTIONS, Disk, Hardware
from survey.host import Host
from survey.standin import files
from survey.standin.files import Files

_DISKS = ("ufs", "zfs")
_FROM_FSTAB = ("nullfs", "tmpfs", "fdescfs")
_NO_CARD = re.compile(r"(lo|bridge|epair|vlan|tun|tap|wg|lagg|gif)\d")


def hardware(recording: Recording, there: Host) -> Hardware:
    options = _options(_said(recording, files.INTERFACES))
    nics = cards(there)
    lease = {name: f"inet {each[0]}" for name, each in _addresses(recording).items()}
    disks = tuple(
        Disk(source, target, kind, "ro" in options.split(","))
        for source, target, kind, options in _mounts(recording)
        if kind in _DISKS
    )
    named = {name: options.get(name, NIC_OPTIONS) for name in nics}
    return Hardware(named or {"vtnet0": NIC_OPTIONS}, lease, disks)


def cards(there: Host) -> list[str]:
    """The network cards, the one first by which the default route leads."""
    first = next((name for destination, name in there.routes if destination == "default"), "")
    named = [name for name in there.interfaces if not _NO_CARD.match(name)]
    return sorted(named, key=lambda name: name != first)


def _said(recording: Recording, command: str) -> str:
    answer = recording.answers.get(command)
    return answer.out if answer else ""


def _options(text: str) -> dict[str, int]:
    """The capabilities of each interface, as ifconfig prints them."""
    found: dict[str, int] = {}
    name = ""
    for line in text.splitlines():
        if line[:1].strip():
            name = line.partition(":")[0]
        elif said := re.match(r"\s+options=([0-9a-f]+)", line):
            found[name] = int(said[1], 16)
    return found


def _addresses(recording: Recording) -> dict[str, list[str]]:
    """By interface its IPv4 addresses, as 203.0.113.2/24."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in _said(recording, files.INTERFACES).splitlines():
        if line[:1].strip():
            name = line.partition(":")[0]
        elif said := re.match(r"\s+inet ([\d.]+) netmask (0x[0-9a-f]+)", line):
            length = int(said[2], 16).bit_count()
            found.setdefault(name, []).append(str(IPv4Interface(f"{said[1]}/{length}")))
    return found


def _mounts(recording: Recording) -> Iterator[tuple[str, str, str, str]]:
    for line in _said(recording, files.MOUNTS).splitlines():
        row = line.split()
        if len(row) >= 4:
            yield row[0], row[1], row[2], row[3]


def typed(recording: Recording, there: Host, found: Files) -> Iterator[str]:
    """Each line does nothing where that is so already."""
    addresses = _addresses(recording)
    for name in (each for each in there.interfaces if each != "lo0"):
        yield from (_alias(quote(name), each) for each in addresses.get(name, []))
        yield _no_more(name, addresses.get(name, []))
    for source, target, kind, options in _mounts(recording):
        if kind in _FROM_FSTAB and not is_in(target, ("/dev",)):
            yield _mount(source, target, kind, options)
    jails = _said(recording, "jls name").split()
    those = quote(f" {' '.join(jails)} ")
    for at in map(quote, jails):
        yield f"jls -j {at} >/dev/null 2>&1 || service jail onestart {at} >/dev/null"
    yield (
        f'for each in $(jls name); do case {those} in *" $each "*) ;; '
        "*) service jail onestop $each;; esac; done"
    )
    if _said(recording, files.RULES).strip():
        yield from _rules(recording)
    else:
        yield "kldunload ipfw_nat; kldunload ipfw; true"
    running = {name for name, _ in there.running.scripts}
    scripts = {each.name for each in there.scripts}
    for name in (each.script_name for each in KINDS):
        if name in scripts:
            script = quote(name)
            want = "onestart" if name in running else "onestop"
            none = "||" if want == "onestart" else "&&"
            yield (
                f"service {script} onestatus >/dev/null 2>&1 {none} "
                f"service {script} {want} >/dev/null 2>&1; true"
            )
    for path, place in found.places.items():
        if place.kind == "socket":  # daemons make them, and scripts change who may write to them
            yield f"[ ! -S {quote(path)} ] || chmod {place.mode:o} {quote(path)}"


def _alias(name: str, address: str) -> str:
    plain = address.partition("/")[0]
    return (
        f"ifconfig {name} 2>/dev/null | grep -qF 'inet {plain} ' || "
        f"{{ ifconfig {name} >/dev/null 2>&1 || ifconfig {name} create; "
        f"ifconfig {name} inet {address} alias; }}"
    )


def _no_more(name: str, addresses: Iterable[str]) -> str:
    """Take away those that rc.conf has, and that are not up."""
    up = " ".join(each.partition("/")[0] for each in addresses)
    return (
        f"for each in $(ifconfig {quote(name)} 2>/dev/null | awk '$1 == \"inet\" {{print $2}}'); "
        f"do case ' {up} ' in *\" $each \"*) ;; "
        f"*) ifconfig {quote(name)} inet $each -alias;; esac; done"
    )


def _mount(source: str, target: str, kind: str, options: str) -> str:
    way = "ro" if "ro" in options.split(",") else "rw"
    at = quote(target)
    return (
        f"mount -p | awk -v at={at} '$2 == at {{found = 1}} END {{exit !found}}' || "
        f"{{ mkdir -p {at}; mount -t {kind} -o {way} {quote(source)} {at}; }}"
    )


def _rules(recording: Recording) -> Iterator[str]:
    """Rules that somebody typed: those of rc.conf are there since the boot."""
    for line in _said(recording, files.RULES).splitlines():
        said = re.fullmatch(r"(\d{5}) set (\d+) (.+)", line.strip())
        if said and said[1] != "65535":
            number, group, rule = said.groups()
            yield (
                "! kldstat -q -m ipfw || "
                f"ipfw -S list | grep -qxF {quote(f'{number} set {group} {rule}')} || "
                f"ipfw -q add {number} set {group} {' '.join(map(quote, rule.split()))}"
            )
