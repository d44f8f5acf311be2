"""A host with two addresses, at both of which named answers over UDP, and the ways to its jail."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from operations.doors import Beside, Doors, Ways
from operations.facts import (
    Bound,
    JailListeners,
    Listeners,
    Nats,
    OwnAddresses,
    Routes,
    UsedAddresses,
)

WAN, SECOND, LAN, JAIL = "203.0.113.2", "203.0.113.3", "10.80.0.0/24", "10.80.0.2"
ANSWERS = Ways(
    "answers over UDP",
    (Doors("answers", JAIL, 3, (("udp", 53, True),), (), (), 3),),
    Beside((20, 29), 2, WAN, LAN, (LAN,), (JAIL,)),
)


def two_addresses(*used: str, nat: str = "") -> dict[Any, Any]:
    """The facts that tell of them. `used` are taken already; `nat` is the instance, if any."""
    return {
        OwnAddresses: tuple(map(IPv4Interface, (WAN, SECOND, "127.0.0.1"))),
        JailListeners: (),
        Listeners: tuple(Bound("udp", "named", each, 53) for each in (WAN, SECOND)),
        Nats: {3: nat} if nat else {},
        Routes: (),
        UsedAddresses: tuple(map(IPv4Address, used)),
    }
