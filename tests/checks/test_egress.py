"""Connections that jails open get out; nat leaves forwarded connections alone."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from operations.offload import harmful
from rollout.engine.checks import Outside
from rollout.site import Site
from tests.checks.asking import at_once

BLOCKS = 64  # of 64 KiB; a stalled upload ends after one of them
WANTED = BLOCKS * 65536
LIMIT = 20.0  # seconds for one transfer
ZEROS = f"dd if=/dev/zero bs=64k count={BLOCKS}"
# At a forwarded port that nobody listens at yet, a SYN stays unanswered, and the next comes seconds
# later: a box's forwarder sends it after 6 s and after 18 (seen on 15.0, emulated).
_LISTENS = (
    "n=0; until sockstat -4lq -P tcp -p {port} | grep -q . || [ $n -ge 50 ]; do"
    " n=$((n+1)); sleep 0.1; done"
)


def test_offload_is_off(host: Any, interfaces: dict[str, str], site: Site, at_boot: str) -> None:
    interface = site.host.wan_interface
    options = re.findall(r"options=\w+<([A-Z0-9_,]*)>", interfaces.get(interface, ""))
    assert options, f"ifconfig {interface} prints no options=...: TSO and LRO cannot be checked"
    on = harmful(options[0].split(","))
    assert not on, (
        f"{interface} has {', '.join(on)} enabled: uploads from jails would stop after 65,536 bytes"
    )
    lines = host.check_output("cat %s", at_boot).splitlines()
    wanted = f"{interface} -tso -lro -vlanhwtso"
    assert wanted in lines, f"{at_boot}: expected the line {wanted}; the next boot needs it"


def test_nat_skips_the_hosts_own_packets(host: Any, site: Site) -> None:
    rules = host.check_output("ipfw list").splitlines()
    found = [rule for rule in rules if re.match(r"\d+ nat ", rule)]
    wrong = [rule for rule in found if _takes_the_hosts_own(rule, site)]
    assert found, "ipfw has no nat rule: expected one for each jail whose outbound is nat"
    assert not wrong, (
        f"nat rules that also match packets from {site.host.wan_address} itself, so they would "
        f"break forwarded connections: {'; '.join(wrong)} ({len(found)} nat rules were checked)"
    )


def _takes_the_hosts_own(rule: str, site: Site) -> bool:
    source = re.search(r" from (not )?(\S+) (?:(?:not )?[\d,-]+ )?to ", rule)
    words = rule.split()
    if source is None or ("in" in words and "out" not in words) or "recv" in words:
        return False
    hit = any(_holds(word, site.host.wan_address) for word in source[2].split(","))
    return hit != bool(source[1])


def _holds(word: str, address: IPv4Address) -> bool:
    return word in ("any", "me") or (word[0].isdigit() and address in IPv4Network(word, False))


def test_upload_works(host: Any, site: Site, outside: Outside) -> None:
    """From a natted jail's address, but by the host's nc: the jail may not exist yet."""
    jail = next(name for name in site.built if site.jails[name].outbound == "nat")
    send = f"timeout --foreground {LIMIT:.0f} nc -N -w 10 -s {site.jails[jail].address}"
    take = _to_the_operator if site.egress.peer == "operator" else _to_a_stranger
    to, came = take(host, site, outside, send)
    assert came == f"{WANTED} bytes", (
        f"upload from jail {jail} through nat to {to}: expected {WANTED} bytes within "
        f"{LIMIT:.0f} s; {came or 'nothing'} arrived; if the host cannot reach {to}, set "
        "egress.peer to another address"
    )


def _to_the_operator(host: Any, site: Site, outside: Outside, send: str) -> tuple[str, str]:
    came_from = host.check_output('echo "$SSH_CONNECTION"').partition(" ")[0]
    with outside.sink() as sink:
        address = sink.address or came_from
        at_once(host, f"({ZEROS} 2>/dev/null | {send} {address} {sink.port} >/dev/null 2>&1 &)")
        got = sink.received(LIMIT)
    return f"this machine ({address})", f"{got.bytes} bytes" if got else ""


def _to_a_stranger(host: Any, site: Site, outside: Outside, send: str) -> tuple[str, str]:
    """The peer does not report what arrived. What dd has written is sent, except what the kernel
    may buffer: 2 MiB (net.inet.tcp.sendbuf_max), half of the upload."""
    address, _, port = str(site.egress.peer).partition(":")
    answer = host.run(f"{{ {ZEROS} 2>&4 | {send} {address} {port} >/dev/null 2>&1; }} 4>&1")
    said = re.search(r"^(\d+ bytes) transferred", answer.stdout, re.MULTILINE)
    return f"{address}:{port}", said[1] if said else ""


def test_download_works(host: Any, site: Site, outside: Outside) -> None:
    """Through a forwarded port, from a listener that the host runs on the jail's address."""
    address, port = site.jails[site.built[0]].address, site.egress.probe_port
    give = f"timeout --foreground {LIMIT:.0f} nc -N -l {address} {port}"
    at_once(host, f"({ZEROS} 2>/dev/null | {give} >/dev/null 2>&1 &); {_LISTENS.format(port=port)}")
    got = outside.read(str(site.host.wan_address), int(port or 0), LIMIT)
    assert got.bytes == WANTED, (
        f"download through the forwarded port {port}: expected {WANTED} bytes within "
        f"{LIMIT:.0f} s; found {got}"
    )
