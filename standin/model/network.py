"""Interfaces and their addresses, and the address of the clients outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Interface, IPv6Interface, ip_address

from standin.model.hardware import NIC_OPTIONS

OUTSIDE = "198.51.100.7"
FLAGS = {1: "UP", 2: "BROADCAST", 8: "LOOPBACK", 0x40: "RUNNING", 0x800: "SIMPLEX"}
FLAGS |= {0x8000: "MULTICAST"}
UP_RUNNING = 0x41
OPTIONS = {
    0x1: "RXCSUM",
    0x2: "TXCSUM",
    0x8: "VLAN_MTU",
    0x10: "VLAN_HWTAGGING",
    0x20: "JUMBO_MTU",
    0x80: "VLAN_HWCSUM",
    0x100: "TSO4",
    0x200: "TSO6",
    0x400: "LRO",
    0x40000: "VLAN_HWTSO",
    0x80000: "LINKSTATE",
    0x200000: "RXCSUM_IPV6",
    0x400000: "TXCSUM_IPV6",
}
CAPABILITIES = {"tso": 0x300, "tso4": 0x100, "tso6": 0x200, "lro": 0x400, "vlanhwtso": 0x40000}
CAPABILITIES |= {"rxcsum": 0x1, "txcsum": 0x2}
LOOPBACK_OPTIONS = 0x680003


@dataclass
class Interface:
    name: str
    index: int
    flags: int
    options: int
    mtu: int
    ether: str = ""
    inet: list[IPv4Interface] = field(default_factory=list)
    inet6: list[IPv6Interface] = field(default_factory=list)

    @property
    def is_loopback(self) -> bool:
        return bool(self.flags & 0x8)

    def add(self, address: IPv4Interface | IPv6Interface) -> None:
        """Adding an existing address silently changes its mask, as SIOCAIFADDR does."""
        self.bring_up()
        if isinstance(address, IPv6Interface):
            self.inet6 = [old for old in self.inet6 if old.ip != address.ip] + [address]
        elif any(old.ip == address.ip for old in self.inet):
            self.inet = [address if old.ip == address.ip else old for old in self.inet]
        else:
            self.inet.append(address)

    def remove(self, address: str) -> bool:
        kept4 = [old for old in self.inet if str(old.ip) != address]
        kept6 = [old for old in self.inet6 if str(old.ip) != address]
        changed = len(kept4) + len(kept6) < len(self.inet) + len(self.inet6)
        self.inet, self.inet6 = kept4, kept6
        return changed

    def bring_up(self) -> None:
        if not self.flags & 1:
            self.flags |= UP_RUNNING
            if self.is_loopback:
                self.inet6.append(IPv6Interface("fe80::1/64"))


_parsed = lru_cache(maxsize=4096)(ip_address)


class Network:
    def __init__(self, nics: Mapping[str, int] | None = None) -> None:
        """`nics`: as in Hardware; clients outside reach the first."""
        nics = nics or {"vtnet0": NIC_OPTIONS}
        self.nic = next(iter(nics))
        self.interfaces: dict[str, Interface] = {}
        for index, (name, options) in enumerate(nics.items(), 1):
            ether = f"52:54:00:12:34:{0x55 + index:02x}"
            self.interfaces[name] = Interface(name, index, 0x8822, options, 1500, ether)
        self.create("lo0")
        self.interfaces["lo0"].bring_up()
        self.interfaces["lo0"].inet6.insert(0, IPv6Interface("::1/128"))
        self.interfaces["lo0"].add(IPv4Interface("127.0.0.1/8"))

    def create(self, name: str) -> Interface:
        index = max((old.index for old in self.interfaces.values()), default=0) + 1
        loopback = name.startswith("lo")
        made = Interface(
            name,
            index,
            0x8008 if loopback else 0x8802,
            LOOPBACK_OPTIONS if loopback else 0x80000,
            16384 if loopback else 1500,
        )
        self.interfaces[name] = made
        return made

    def rename(self, name: str, new: str) -> None:
        made = self.interfaces.pop(name)
        made.name = new
        self.interfaces[new] = made
        if name == self.nic:
            self.nic = new

    def owner(self, address: str) -> Interface | None:
        """The interface that has this address."""
        try:
            wanted = _parsed(address)
        except ValueError:
            return None
        for interface in self.interfaces.values():
            if any(one.ip == wanted for one in interface.inet):
                return interface
            if any(one.ip == wanted for one in interface.inet6):
                return interface
        return None

    def addresses(self) -> list[str]:
        own = (i for interface in self.interfaces.values() for i in interface.inet)
        return [str(address.ip) for address in own]


def mask_length(mask: str) -> int:
    if mask.startswith("0x"):
        return int(mask, 16).bit_count()
    return IPv4Interface(f"0.0.0.0/{mask}").network.prefixlen
