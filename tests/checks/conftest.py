"""What several checks look at: the host is asked once for all that are asked together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest


@pytest.fixture(scope="session")
def interfaces(host: Any) -> dict[str, str]:
    """Each interface's part of what ifconfig prints."""
    parts = re.split(r"(?m)^(?=\S)", host.check_output("ifconfig -a"))
    return {part.partition(":")[0]: part for part in parts}


@pytest.fixture(scope="session")
def rc_conf(host: Any) -> str:
    return str(host.check_output("cat /etc/rc.conf /etc/rc.conf.local 2>/dev/null || true"))


@pytest.fixture(scope="session")
def rules(host: Any) -> list[str]:
    """Of every set, switched on or off."""
    return list(host.check_output("ipfw -S list").splitlines())


@pytest.fixture(scope="session")
def mounts(host: Any) -> list[list[str]]:
    """Point, type and options of each."""
    return [line.split()[1:4] for line in host.check_output("mount -p").splitlines()]


@pytest.fixture(scope="session")
def jails(host: Any) -> dict[str, list[str]]:
    """The addresses of each jail that runs."""
    rows = [row.partition(" ") for row in host.check_output("jls name ip4.addr").splitlines()]
    return {name: addresses.split(",") for name, _, addresses in rows}


@pytest.fixture(scope="session")
def jails_at_boot(host: Any) -> list[str]:
    return enabled_jails(host.check_output("sysrc -n jail_enable jail_list"))


def enabled_jails(told: str) -> list[str]:
    """The words of jail_list, where jail_enable before it is what rc.subr takes for yes."""
    enabled, *names = told.split()
    return names if enabled.upper() in ("YES", "TRUE", "ON", "1") else []


@dataclass(frozen=True)
class Listening:
    """A socket that waits for clients; `proto` as sockstat has it: tcp or udp with 4, 6 or 46."""

    pid: str
    proto: str
    address: str
    port: str

    @property
    def for_others(self) -> bool:
        """Can more than the machine itself ask there?"""
        address = self.address.partition("%")[0]
        return address == "*" or not ip_address(address).is_loopback


@pytest.fixture(scope="session")
def listening(host: Any) -> list[Listening]:
    """On the host itself: what is its own loopback's there, a jail has on its LAN address."""
    return sockets(host.check_output("sockstat -46lq -j 0"))


def sockets(told: str) -> list[Listening]:
    """The lines of sockstat; without those that have no port yet, `*:*`: nobody can ask there."""
    rows = [row.split() for row in told.splitlines()]
    ends = [(row[-5], row[-3], *row[-2].rpartition(":")) for row in rows]
    return [Listening(pid, proto, at, port) for pid, proto, at, _, port in ends if port != "*"]
