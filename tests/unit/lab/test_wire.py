"""The wire itself, where this machine permits a network namespace."""

import json
import subprocess

import pytest

from box.requirements import Missing
from tests.lab import wire
from tests.lab.wire import Wire, require_rights_and_tools


def namespaces() -> str:
    return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout


@pytest.fixture(autouse=True)
def _rights() -> None:
    try:
        require_rights_and_tools()
    except Missing as missing:
        pytest.skip(f"no wire here: {missing}")


def test_nothing_on_the_wire_can_leave_it() -> None:
    with Wire() as laid:
        told = subprocess.run(
            laid.argv("ip", "-json", "address"), capture_output=True, text=True, check=True
        )
        routed = subprocess.run(
            laid.argv("ip", "route", "get", "192.0.2.1"), capture_output=True, check=False
        )
    links = {
        link["ifname"]: [address["local"] for address in link["addr_info"]]
        for link in json.loads(told.stdout)
    }
    assert set(links) == {"lo", wire.TAP, wire.BRIDGE, wire.FAR, wire.NEAR}
    assert {wire.OPERATOR, *wire.CLIENTS} <= set(links[wire.NEAR])
    assert f'"{wire.MAC}"' in told.stdout
    assert routed.returncode != 0


def test_a_wire_is_narrow_for_a_while() -> None:
    with Wire() as laid:
        queues = laid.argv("tc", "qdisc", "show", "dev", wire.FAR)
        with laid.narrow("100mbit"):
            told = subprocess.run(queues, capture_output=True, text=True, check=True).stdout
        after = subprocess.run(queues, capture_output=True, text=True, check=True).stdout
    assert "rate 100Mbit" in told
    assert "rate" not in after


def test_two_wires_do_not_meet() -> None:
    with Wire() as one, Wire() as other:
        assert one.name != other.name
        assert {one.name, other.name} <= set(namespaces().split())


def test_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire() as laid:
        pass
    assert laid.name not in namespaces()
    monkeypatch.setattr(wire, "CLIENTS", ("no address",))
    broken = Wire()
    with pytest.raises(OSError, match="no address"), broken:
        pass
    assert broken.name not in namespaces()
