"""Who answers: sockets, wildcards, fwd, nat, denies, 127.0.0.1 and unix sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from standin import BaseHost, StandIn
from tests.unit.standin.conftest import Boot, add_thin_jail

PUBLIC = "203.0.113.2"
JAIL = "10.80.0.2"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """The sample with ipfw loaded and open, and jails `web` (all three daemons) and `other`."""
    with StandIn.build(tmp_path_factory.mktemp("answers") / "s", BaseHost.sample()) as standin:
        standin.boot()
        enable = "'apache24_enable=\"YES\"' 'named_enable=\"YES\"' 'sendmail_enable=\"NO\"'"
        add_thin_jail(standin, "web", JAIL, enable)
        add_thin_jail(standin, "other", "10.80.0.3", "'sendmail_enable=\"NO\"'")
        standin.run(
            "conf=/usr/jails/web/usr/local/etc/namedb/named.conf;"
            f"sed -i '' -e 's/listen-on .*/listen-on {{ {JAIL}; }};/' $conf;"
            "service jail onestart web other;"
            "kenv net.inet.ip.fw.default_to_accept=1; kldload ipfw ipfw_nat"
        )
        yield standin


@pytest.fixture
def host(loaded: StandIn) -> Iterator[StandIn]:
    """The same, without rules left by other tests."""
    yield loaded
    loaded.run("ipfw -f flush; ipfw set enable 20; ipfw nat 7 delete; service apache24 onestart")
    loaded.run("service -j web apache24 onestart")


def test_without_rules_the_host_answers_at_its_address(host: StandIn) -> None:
    assert host.who_answers(PUBLIC, 80) == "host"
    assert host.who_answers(PUBLIC, 53, "udp") == "host"
    assert host.who_answers(PUBLIC, 81) is None
    assert host.who_answers("203.0.113.9", 80) is None


def test_a_jail_is_reached_at_its_address_from_the_host_only(host: StandIn) -> None:
    assert host.who_answers(JAIL, 80, source="host") == "web"
    assert host.who_answers(JAIL, 80, source="other") == "web"
    assert host.who_answers(JAIL, 80) is None


def test_fwd_moves_tcp_and_its_set_moves_it_back(host: StandIn) -> None:
    host.run(f"ipfw -q add 1000 set 20 fwd {JAIL},80 tcp from any to {PUBLIC} 80 in")
    assert [host.who_answers(PUBLIC, 80, source=s) for s in ("outside", "host", "other")] == [
        "web"
    ] * 3
    host.run("ipfw set disable 20")
    assert host.who_answers(PUBLIC, 80) == "host"
    host.run("ipfw set enable 20")
    assert host.who_answers(PUBLIC, 80) == "web"


def test_the_hosts_wildcard_takes_packets_forwarded_to_a_closed_port(host: StandIn) -> None:
    host.run(f"ipfw -q add 1000 fwd {JAIL},80 tcp from any to {PUBLIC} 80 in")
    host.run("service -j web apache24 onestop")
    assert host.who_answers(PUBLIC, 80) == "host"
    host.run("service apache24 onestop")
    assert host.who_answers(PUBLIC, 80) is None


def test_fwd_of_udp_reaches_the_jail_but_no_answer_comes_back(host: StandIn) -> None:
    host.run(f"ipfw -q add 1000 fwd {JAIL},53 udp from any to {PUBLIC} 53 in")
    assert host.who_answers(PUBLIC, 53, "udp") is None


def test_nat_moves_udp_when_both_ways_are_there(host: StandIn) -> None:
    redirect = f"redirect_port udp {JAIL}:53 53"
    host.run(f"ipfw -q nat 7 config ip {PUBLIC} same_ports {redirect}")
    host.run(f"ipfw -q add 2100 nat 7 udp from any to {PUBLIC} 53 in recv vtnet0")
    assert host.who_answers(PUBLIC, 53, "udp") is None
    host.run(f"ipfw -q add 2000 nat 7 udp from {JAIL} 53 to any out xmit vtnet0")
    assert host.who_answers(PUBLIC, 53, "udp") == "web"
    assert host.who_answers(PUBLIC, 53) == "host"


def test_loopback_can_be_forwarded_on_the_host(host: StandIn) -> None:
    assert host.who_answers("127.0.0.1", 80, source="host") == "host"
    host.run(f"ipfw -q add 900 fwd {JAIL},80 tcp from any to 127.0.0.1 80")
    assert host.who_answers("127.0.0.1", 80, source="host") == "web"


def test_in_a_jail_loopback_is_its_own_address(host: StandIn) -> None:
    assert host.who_answers("127.0.0.1", 80, source="web") == "web"
    assert host.who_answers("127.0.0.1", 53, "udp", source="other") is None


def test_a_deny_between_jails_holds(host: StandIn) -> None:
    host.run(f"ipfw -q add 500 deny ip from 10.80.0.3 to {JAIL}")
    assert host.who_answers(JAIL, 80, source="other") is None
    assert host.who_answers(JAIL, 80, source="host") == "web"


def test_rules_are_read_in_order_and_by_net(host: StandIn) -> None:
    host.run("ipfw -q add 600 deny tcp from 192.0.2.0/24 to me 80,443")
    assert host.who_answers(PUBLIC, 80, source="192.0.2.9") is None
    assert host.who_answers(PUBLIC, 80, source="192.0.3.9") == "host"
    host.run("ipfw -q add 550 allow tcp from 192.0.2.9 to any")
    assert host.who_answers(PUBLIC, 80, source="192.0.2.9") == "host"


def test_skipto_and_not(host: StandIn) -> None:
    host.run("ipfw -q add 100 skipto 300 tcp from not 192.0.2.0/24 to any 80")
    host.run("ipfw -q add 200 deny tcp from any to any 1-100 in")
    assert host.who_answers(PUBLIC, 80) == "host"
    assert host.who_answers(PUBLIC, 80, source="192.0.2.1") is None


def test_unix_sockets_are_followed_through_links(server: StandIn) -> None:
    assert server.who_answers("/var/run/mysql/mysql.sock") == "host"
    enable = "'mysql_enable=\"YES\"' 'sendmail_enable=\"NO\"'"
    add_thin_jail(server, "db", "10.80.0.4", enable)
    server.run(
        "mkdir -p /usr/jails/db/var/db/mysql; chown mysql:mysql /usr/jails/db/var/db/mysql;"
        "echo '/var/db/mysql /usr/jails/db/var/db/mysql nullfs rw 0 0' >>/etc/fstab.db;"
        "service mysql-server onestop; service jail onestart db;"
        "mkdir -p /var/run/mysql;"
        "ln -sfh /usr/jails/db/var/run/mysql/mysql.sock /var/run/mysql/mysql.sock"
    )
    assert server.who_answers("/var/run/mysql/mysql.sock") == "db"
    assert server.run("mysql -e 'SELECT COUNT(*) FROM rows'").stdout == "1000\n"
    server.run("service jail onestop db")
    assert server.who_answers("/var/run/mysql/mysql.sock") is None


def test_without_default_to_accept_ipfw_shuts_everybody_out(boot: Boot) -> None:
    standin = boot(BaseHost.sample())
    standin.run("kldload ipfw")
    assert standin.who_answers(PUBLIC, 80) is None


@pytest.mark.parametrize("missing", ["set 20 delete 1234", "delete 1234", "nat 8 delete"])
def test_ipfw_delete_of_a_missing_rule_fails_only_at_a_terminal(
    host: StandIn, missing: str
) -> None:
    """main.c of ipfw(8): without a terminal -f is implied."""
    for option, code in (("-q", b"69"), ("-qf", b"0")):
        assert host.run(f"ipfw {option} {missing}").returncode == 0
        with host.terminal() as shell:
            assert shell.stdin is not None
            assert shell.stdout is not None
            shell.stdin.write(f"ipfw {option} {missing}\necho $?\nexit\n".encode())
            assert shell.stdout.read().split() == [code]


def heard(host: StandIn, address: str, port: int) -> bool:
    """Whether that address answers a query from this port of the public address."""
    said = host.run(f"echo 0123456789 | nc -u -w 1 -s {PUBLIC} -p {port} {address} 53")
    return bool(said.stdout)


def test_libalias_answers_one_port_of_a_client_from_the_address_that_it_asked_first(
    host: StandIn,
) -> None:
    """Two links with the same ends, jail and client: the older one is found (15.0)."""
    other = "203.0.113.3"
    config = f"ip {PUBLIC} redirect_addr {JAIL} {PUBLIC} redirect_addr {JAIL} {other}"
    host.run(
        f"ifconfig vtnet0 inet {other}/32 alias; ipfw -q nat 7 config {config};"
        f"ipfw -q add 1000 nat 7 udp from not 10.80.0.0/24 to {PUBLIC},{other} 53 in;"
        "ipfw -q add 1000 nat 7 udp from 10.80.0.0/24 53 to not 10.80.0.0/24 out"
    )
    assert [heard(host, each, 5454) for each in (PUBLIC, other, PUBLIC)] == [True, False, True]
    assert [heard(host, each, 5455) for each in (other, PUBLIC)] == [True, False]
    assert [heard(host, other, port) for port in (0, 5454)] == [True, False]
    host.run(f"ipfw nat 7 delete; ipfw -q nat 7 config {config}")
    assert heard(host, other, 5454)
    host.run(f"ifconfig vtnet0 inet {other} -alias")
