from __future__ import annotations

import socket
from pathlib import Path

import pytest

from box.qemu import network
from box.qemu.network import Forwarded
from rollout import site

PROJECT = Path(__file__).parents[4]
SITE = site.read(PROJECT / "site.example.toml")


def test_every_public_port_ssh_and_the_probe_port_have_a_door(tmp_path: Path) -> None:
    with Forwarded(SITE) as laid:
        inside = {(port, proto) for address, port, proto in laid.doors if address == "203.0.113.2"}
        assert {(22, "tcp"), (53, "udp"), (53, "tcp"), (3306, "tcp"), (8999, "tcp")} <= inside
        assert laid.door(53, "udp") == laid.door(53, "tcp")
        tcp = [door for (*_, proto), door in laid.doors.items() if proto == "tcp"]
        assert len(set(tcp)) == len(tcp)
        assert {address for address, _ in tcp} == {"127.0.0.1"}
        told = laid.netdev()
        _, port = laid.ssh
        assert f"hostfwd=tcp:127.0.0.1:{port}-203.0.113.2:22" in told
        assert "hostfwd=udp:127.0.0.1:" in told


def test_the_guests_address_is_nobody_elses(tmp_path: Path) -> None:
    host = SITE.host.model_copy(update={"wan_address": SITE.host.wan_address + 1})
    laid = Forwarded(SITE.model_copy(update={"host": host}))
    assert len({laid.gateway, laid.dns, laid.guest}) == 3


def test_another_address_has_doors_of_its_own() -> None:
    """The port at the second address was that of the first: a client never asked the second."""
    with Forwarded(SITE, ["203.0.113.3"]) as laid:
        first, second = (laid.doors[f"203.0.113.{end}", 53, "udp"] for end in (2, 3))
        assert first != second
        assert second == laid.doors["203.0.113.3", 53, "tcp"]
        assert f"hostfwd=udp:127.0.0.1:{second[1]}-203.0.113.3:53" in laid.netdev()
        assert str(laid.dns) != "203.0.113.3"


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = network._free_ports([("203.0.113.2", number, "tcp") for number in range(1, 40)])
    assert len(set(doors.values())) == 39
    for address, port in doors.values():
        with socket.socket() as free:
            free.bind((address, port))
