"""Which daemon would answer a client: the way of its first packet in, and of the reply out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from standin.linux.rootdir import RootDir
from standin.model.daemon import Daemon
from standin.model.firewall import Verdict
from standin.model.host import Host
from standin.model.network import CAPABILITIES, OUTSIDE
from standin.model.rules import Packet

CLIENT_PORT = 40000
TSO_STOPS_AT = 65536  # bytes of an upload through libalias, with TSO on


@dataclass(frozen=True)
class SocketAt:
    """The owner of the socket that took the connection, and the address that it is bound to."""

    daemon: Daemon
    address: str

    @property
    def rootdir(self) -> RootDir:
        return self.daemon.rootdir


def who_answers(
    host: Host,
    address: str,
    port: int,
    proto: str,
    source: str,
    *,
    sender: str = "",
    sender_port: int = 0,
) -> SocketAt | None:
    """`sender` is the address that the client sends from, where it is not the usual one. With
    `sender_port` it sends from that port each time; without, from another one each time.
    """
    if address.startswith("/"):
        return _at_path(host, address, source)
    packet = _first_packet(host, address, port, proto, source)
    if packet is None:
        return None
    packet = replace(
        packet, source=sender or packet.source, source_port=sender_port or packet.source_port
    )
    way = _way_in(host, packet)
    if way is None:
        return None
    if way.kind == "fwd":
        found = _listener(host, proto, way.next_hop, way.next_port)
        if found is not None and proto == "udp" and found.address not in ("*", packet.target):
            return None  # the jail's datagram leaves from its own address, and the client drops it
    else:
        found = _listener(host, proto, way.packet.target, way.packet.target_port)
    if found is None or not _answer_arrives(host, packet, way):
        return None
    return found if proto == "udp" or _third_arrives(host, packet, way, found) else None


def _third_arrives(host: Host, first: Packet, way: Verdict, found: SocketAt) -> bool:
    """The client's second packet has to reach the listening socket that took the first one."""
    third = replace(first, is_third=True, states=way.states)
    later = _way_in(host, third)
    if later is None:
        return False
    there = (later.packet.target, later.packet.target_port)
    if later.kind == "fwd":
        there = (later.next_hop, later.next_port)
    again = _listener(host, first.proto, *there)
    return again is not None and again.daemon is found.daemon


def _way_in(host: Host, packet: Packet) -> Verdict | None:
    """How the last search ended before the packet reached a socket; None when it never did."""
    if packet.interface != host.network.nic:
        # The packet leaves before it arrives: ipfw sees both directions of a loopback.
        out = host.judge(replace(packet, direction="out", received_on=""))
        if out.kind == "drop":
            return None
        packet = replace(
            out.packet, direction="in", received_on=packet.received_on, states=out.states
        )
    verdict = host.judge(packet)
    return None if verdict.kind == "drop" else verdict


def given(host: Host, address: str, port: int) -> int | None:
    """Bytes that a client outside reads behind this port from the `nc -l` that waits on the host;
    None while none waits. Only one client gets them.
    """
    if not host.offers:
        return None
    offers, host.offers = host.offers, {}
    packet = _first_packet(host, address, port, "tcp", "outside")
    way = _way_in(host, packet) if packet else None
    if packet is None or way is None:
        return 0
    target = (way.packet.target, way.packet.target_port)
    there = (way.next_hop, way.next_port) if way.kind == "fwd" else target
    length, _ = offers.get(there, (0, 0))
    return length if length and _answer_arrives(host, packet, way, length) else 0


def taken(host: Host, source: str, address: str, port: int, length: int = 0) -> int | None:
    """Bytes that arrive outside when an address of the host sends so many; None without a reply to
    the first packet."""
    nic = host.network.nic
    first = Packet("tcp", source, CLIENT_PORT, address, port, "out", nic, length=60 + length)
    out = host.judge(first)
    owner = host.network.owner(out.packet.source)
    if out.kind == "drop" or owner is None or owner.is_loopback:
        return None
    seen = out.packet
    answer = Packet(
        "tcp", address, port, seen.source, seen.source_port, "in", nic, nic, is_answer=True
    )
    verdict = host.judge(replace(answer, states=out.states))
    if verdict.kind == "drop" or verdict.through_nat != out.through_nat:
        return None
    uncut = host.network.interfaces[nic].options & CAPABILITIES["tso"]
    return min(length, TSO_STOPS_AT) if out.through_nat and uncut else length


def _first_packet(host: Host, address: str, port: int, proto: str, source: str) -> Packet | None:
    owner = host.network.owner(address)
    if source == "host" or source in host.jails:
        if source != "host":
            own = host.jails[source].addresses
            address = own[0] if address.startswith("127.") and own else address
            owner = host.network.owner(address)
            sender = own[0] if own else ""
        else:
            sender = address
        if owner is None or not sender:
            return None
        over = _over(host, address)
        return Packet(proto, sender, CLIENT_PORT, address, port, "in", over, over)
    # From outside only the addresses of the network interface can be reached, not those of lo1.
    if owner is None or owner.is_loopback:
        return None
    sender = OUTSIDE if source == "outside" else source
    nic = host.network.nic
    return Packet(proto, sender, CLIENT_PORT, address, port, "in", nic, nic)


def _over(host: Host, address: str) -> str:
    """The interface that packets to an address of the host pass: lo0, but a further loopback for
    its own addresses (measured on 15.0: `out via lo1`).
    """
    owner = host.network.owner(address)
    return owner.name if owner is not None and owner.is_loopback else "lo0"


def _answer_arrives(host: Host, sent: Packet, way: Verdict, length: int = 0) -> bool:
    """The client accepts a reply only from the address and port that it wrote to."""
    end = sent if way.kind == "fwd" else way.packet
    nic, asked = host.network.nic, sent.target
    interface = nic if sent.interface == nic else _over(host, way.packet.source)
    if sent.proto == "udp" and way.packet.target != asked and sent.source_port != CLIENT_PORT:
        asked = host.firewall.links.of_answer(way.packet, asked, time.monotonic())
    answer = Packet(
        sent.proto,
        end.target,
        end.target_port,
        way.packet.source,
        way.packet.source_port,
        "out",
        interface,
        is_answer=True,
        states=way.states,
        seen_by_nat=way.through_nat,
        asked_at=asked,
        client=sent.source if way.packet.source != sent.source else "",
        length=60 + length,
    )
    verdict = host.judge(answer)
    seen = verdict.packet
    wanted = (sent.target, sent.target_port)
    if verdict.kind == "drop" or (seen.source, seen.source_port) != wanted:
        return False
    if interface == nic:
        return True
    back = host.judge(replace(seen, direction="in", received_on=interface, states=way.states))
    return back.kind != "drop" and back.packet.target == sent.source


def _listener(host: Host, proto: str, address: str, port: int) -> SocketAt | None:
    """An exact address first, then the host's wildcard, which accepts forwarded packets, too."""
    exact: list[SocketAt] = []
    wildcard: list[SocketAt] = []
    for daemon in host.daemons:
        for socket in daemon.sockets:
            if socket.port == port and socket.speaks(proto):
                if socket.address == address:
                    exact.append(SocketAt(daemon, address))
                elif socket.address == "*":
                    wildcard.append(SocketAt(daemon, "*"))
    # BIND's shared sockets are found first, and the host's before a jail's.
    exact.sort(key=lambda found: bool(found.rootdir.name) == (found.daemon.kind.rc == "named"))
    return next(iter((*exact, *wildcard)), None)


def _at_path(host: Host, path: str, source: str) -> SocketAt | None:
    rootdir = host.jails[source].rootdir if source in host.jails else host.rootdir
    try:
        found = rootdir.path(path).stat()
    except OSError:
        return None
    for daemon in host.daemons:
        if (found.st_dev, found.st_ino) in daemon.inodes:
            return SocketAt(daemon, path)
    return None
