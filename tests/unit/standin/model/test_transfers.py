"""Bytes through the stand-in: nat and TSO as on 13.2, counters, and states of ipfw."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from standin import OUTSIDE, BaseHost, StandIn
from tests.unit.standin.conftest import add_thin_jail

PUBLIC = "203.0.113.2"
JAIL = "10.80.0.2"
OTHER = "10.80.0.3"
LAN = "10.80.0.0/24"
MIB = 2**20


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn.build(tmp_path_factory.mktemp("transfers") / "s", BaseHost.sample()) as standin:
        standin.boot()
        add_thin_jail(standin, "web", JAIL, "'apache24_enable=\"YES\"' 'sendmail_enable=\"NO\"'")
        add_thin_jail(standin, "other", OTHER, "'sendmail_enable=\"NO\"'")
        standin.run(
            "service jail onestart web other;"
            "kenv net.inet.ip.fw.default_to_accept=1; kldload ipfw ipfw_nat"
        )
        yield standin


@pytest.fixture
def host(loaded: StandIn) -> Iterator[StandIn]:
    """The same, without rules left by other tests, and with TSO on."""
    yield loaded
    loaded.run("ipfw -f flush; ipfw nat 7 delete; ifconfig vtnet0 tso lro vlanhwtso")


def narrow_nat(host: StandIn) -> None:
    host.run(f"ipfw -q nat 7 config ip {PUBLIC}")
    host.run(f"ipfw -q add 500 nat 7 ip from {JAIL} to not {LAN} out xmit vtnet0")
    host.run(f"ipfw -q add 500 nat 7 tcp from any to {PUBLIC} 32768-65535 in recv vtnet0")


def uploaded(host: StandIn, source: str = JAIL) -> int | None:
    port = 50001
    host.run(
        f"dd if=/dev/zero bs=64k count=32 2>/dev/null | nc -N -w 5 -s {source} {OUTSIDE} {port}"
    )
    return host.sent(port)


def downloaded(host: StandIn) -> int | None:
    host.run(f"dd if=/dev/zero bs=64k count=16 2>/dev/null | nc -N -l {JAIL} 8999")
    return host.given(PUBLIC, 8999)


def test_a_jails_address_gets_no_answer_without_nat_and_the_hosts_does(host: StandIn) -> None:
    assert uploaded(host) == 0
    assert uploaded(host, PUBLIC) == 2 * MIB


def test_an_upload_through_nat_stops_with_tso_on_and_flows_with_it_off(host: StandIn) -> None:
    narrow_nat(host)
    assert uploaded(host) == 65536
    host.run("ifconfig vtnet0 -tso -lro -vlanhwtso")
    assert uploaded(host) == 2 * MIB


def test_nat_of_the_hosts_own_address_kills_what_is_forwarded(host: StandIn) -> None:
    host.run(f"ipfw -q add 400 fwd {JAIL},8999 tcp from any to {PUBLIC} 8999 in")
    host.run(f"ipfw -q add 400 fwd {JAIL},80 tcp from any to {PUBLIC} 80 in")
    narrow_nat(host)
    assert downloaded(host) == MIB
    assert host.who_answers(PUBLIC, 80) == "web"
    host.run(f"ipfw -q add 600 nat 7 ip from any to not {LAN} out xmit vtnet0")
    assert downloaded(host) == 0
    assert host.who_answers(PUBLIC, 80) is None


def test_counters_count_each_pass(host: StandIn) -> None:
    host.run(f"ipfw -q add 300 count ip from any to {JAIL} in // web received")
    host.run(f"ipfw -q add 300 count ip from {JAIL} to any out // web sent")
    assert host.run("ipfw -a list 300").stdout.splitlines()[0].split()[1:4] == ["0", "0", "count"]
    assert host.who_answers(JAIL, 80, source="other") == "web"
    received, sent = host.run("ipfw show 300").stdout.splitlines()
    assert received.split()[1:4] == ["2", "120", "count"]  # the first packet and the third
    assert sent.split()[1:4] == ["1", "60", "count"]
    assert received.endswith("in // web received")


def test_answers_are_judged_too(host: StandIn) -> None:
    host.run(f"ipfw -q add 300 deny tcp from {JAIL} to {OTHER}")
    assert host.who_answers(JAIL, 80, source="other") is None
    host.run(f"ipfw -q add 200 allow tcp from {JAIL} 80 to {OTHER} established")
    assert host.who_answers(JAIL, 80, source="other") == "web"


def test_a_state_lets_answers_through_and_nothing_else(host: StandIn) -> None:
    host.run(f"ipfw -q add 300 deny ip from {JAIL} to {OTHER}")
    host.run(f"ipfw -q add 200 skipto 400 tcp from {OTHER} to {JAIL} keep-state :cellblock")
    assert host.who_answers(JAIL, 80, source="other") == "web"
    assert "keep-state :cellblock" in host.run("ipfw list 200").stdout
    host.run("ipfw -q delete 200")
    assert host.who_answers(JAIL, 80, source="other") is None


def test_nc_from_a_jail_reaches_outside_only_as_nat_lets_it(host: StandIn) -> None:
    assert host.run(f"jexec web nc -z -w 2 {OUTSIDE} 443").returncode == 1
    narrow_nat(host)
    assert host.run(f"jexec web nc -z -w 2 {OUTSIDE} 443").returncode == 0
    assert host.run(f"jexec other nc -z -w 2 {OUTSIDE} 443").returncode == 1


def test_an_option_unknown_to_nc_is_an_error(host: StandIn) -> None:
    assert host.run(f"nc -z -N {JAIL} 80").returncode != 0
    assert host.run(f"nc -k -l {JAIL} 80").returncode != 0
