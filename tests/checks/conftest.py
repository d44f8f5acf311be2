"""What several checks read: asked of the host once for all checks of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest

from rollout import plan
from rollout.site import Site
from steps import carriers as carrying
from steps.carriers import Carriers


@pytest.fixture(scope="session")
def interfaces(host: Any) -> dict[str, str]:
    """Each interface's part of what ifconfig prints."""
    parts = re.split(r"(?m)^(?=\S)", host.check_output("ifconfig -a"))
    return {part.partition(":")[0]: part for part in parts}


@pytest.fixture(scope="session")
def rc_conf(host: Any) -> str:
    return str(host.check_output("cat /etc/rc.conf /etc/rc.conf.local 2>/dev/null || true"))


@pytest.fixture(scope="session")
def carriers(site: Site) -> Carriers:
    """What carries needs into jails, by the plan of the site."""
    return carrying.of(plan.make(site).steps, site)


@pytest.fixture(scope="session")
def rules(host: Any) -> list[str]:
    """Of every set, enabled or disabled."""
    return list(host.check_output("ipfw -S list").splitlines())


@pytest.fixture(scope="session")
def mounts(host: Any) -> list[list[str]]:
    """Mount point, type and options of each mount."""
    return [line.split()[1:4] for line in host.check_output("mount -p").splitlines()]


@pytest.fixture(scope="session")
def jails(host: Any) -> dict[str, list[str]]:
    """The addresses of each jail that runs."""
    rows = [row.partition(" ") for row in host.check_output("jls name ip4.addr").splitlines()]
    return {name: addresses.split(",") for name, _, addresses in rows}


@pytest.fixture(scope="session")
def jails_at_boot(host: Any) -> list[str]:
    return enabled_jails(host.check_output("sysrc -n jail_enable jail_list"))


def enabled_jails(said: str) -> list[str]:
    """The jails of jail_list, if jail_enable, printed before it, is a yes to rc.subr."""
    enabled, *names = said.split()
    return names if enabled.upper() in ("YES", "TRUE", "ON", "1") else []


@dataclass(frozen=True)
class Listening:
    """A listening socket; `proto` as sockstat prints it: tcp or udp with 4, 6 or 46."""

    pid: str
    proto: str
    address: str
    port: str

    @property
    def for_others(self) -> bool:
        """Whether other machines can reach it."""
        address = self.address.partition("%")[0]
        return address == "*" or not ip_address(address).is_loopback


@pytest.fixture(scope="session")
def listening(host: Any) -> list[Listening]:
    """On the host itself, jails not included."""
    return sockets(host.check_output("sockstat -46lq -j 0"))


def sockets(said: str) -> list[Listening]:
    """The lines of sockstat, without sockets that have no port (`*:*`): nothing can reach them."""
    rows = [row.split() for row in said.splitlines()]
    ends = [(row[-5], row[-3], *row[-2].rpartition(":")) for row in rows]
    return [Listening(pid, proto, at, port) for pid, proto, at, _, port in ends if port != "*"]
