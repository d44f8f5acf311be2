"""Who would answer a client: the way of its first packet in, and of the reply out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from standin.daemons import Daemon
from standin.realm import Realm
from standin.rules import Packet

if TYPE_CHECKING:
    from standin.host import Host

OUTSIDE = "198.51.100.7"
CLIENT_PORT = 40000


@dataclass(frozen=True)
class SocketAt:
    """Whose socket took the connection, and at which address it is bound."""

    daemon: Daemon
    address: str

    @property
    def realm(self) -> Realm:
        return self.daemon.realm


def who_answers(
    host: Host, address: str, port: int, proto: str, source: str, *, sender: str = ""
) -> SocketAt | None:
    """`sender` is the host's address that its question comes from, where it is not the usual."""
    if address.startswith("/"):
        return _at_path(host, address, source)
    packet = _first_packet(host, address, port, proto, source)
    if packet is None:
        return None
    if sender:
        packet = replace(packet, source=sender)
    if packet.interface != host.network.nic:
        # It leaves before it arrives: both ways of lo0 are filtered.
        out = host.judge(replace(packet, direction="out", received_on=""))
        if out.kind == "drop":
            return None
    return _received(host, packet)


def _received(host: Host, packet: Packet) -> SocketAt | None:
    verdict = host.judge(packet)
    if verdict.kind == "drop":
        return None
    if verdict.kind == "fwd":
        found = _listener(host, packet.proto, verdict.next_hop, verdict.next_port)
        bound_elsewhere = found is not None and found.address not in ("*", packet.target)
        # The jail's datagram leaves from its own address, and the client drops it.
        return None if packet.proto == "udp" and bound_elsewhere else found
    arrived = verdict.packet
    found = _listener(host, packet.proto, arrived.target, arrived.target_port)
    return found if found and _reply_arrives(host, packet, arrived) else None


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
        return Packet(proto, sender, CLIENT_PORT, address, port, "in", "lo0", "lo0")
    # From outside there is a way only to the addresses of the wire, not to those of lo1.
    if owner is None or owner.is_loopback:
        return None
    sender = OUTSIDE if source == "outside" else source
    nic = host.network.nic
    return Packet(proto, sender, CLIENT_PORT, address, port, "in", nic, nic)


def _reply_arrives(host: Host, sent: Packet, arrived: Packet) -> bool:
    """The client takes a reply only from the address and port that it wrote to."""
    interface = sent.interface
    reply = Packet(
        sent.proto,
        arrived.target,
        arrived.target_port,
        sent.source,
        sent.source_port,
        "out",
        interface,
    )
    if arrived == sent and interface != host.network.nic:
        return True
    verdict = host.judge(reply)
    seen = verdict.packet
    return verdict.kind == "pass" and (seen.source, seen.source_port) == (
        sent.target,
        sent.target_port,
    )


def _listener(host: Host, proto: str, address: str, port: int) -> SocketAt | None:
    """An exact address first, then the host's wildcard, which takes forwarded ones too."""
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
    exact.sort(key=lambda found: bool(found.realm.name) == (found.daemon.kind.rc == "named"))
    return next(iter((*exact, *wildcard)), None)


def _at_path(host: Host, path: str, source: str) -> SocketAt | None:
    realm = host.jails[source].realm if source in host.jails else host.realm
    try:
        found = realm.path(path).stat()
    except OSError:
        return None
    for daemon in host.daemons:
        if (found.st_dev, found.st_ino) in daemon.inodes:
            return SocketAt(daemon, path)
    return None
