"""A host whose public ports are reached through forwarded ports of this machine."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import dns.message
import pytest

from rollout import site
from rollout.host.session import Ssh
from rollout.probe import prober, transfer, udp
from rollout.probe.outside import FromOutside
from rollout.probe.watch import Answer, Watch
from rollout.probe.watches import Doors, translated, watches

SITE = site.read(Path(__file__).parents[4] / "site.example.toml")


class NoSocketOwner:
    def __init__(self, argv: Any, limit: float = 3.0) -> None:
        self.asked: list[int] = []

    def who(self, connection: socket.socket, port: int) -> str:
        self.asked.append(port)
        return "web"

    def close(self) -> None: ...


@pytest.fixture
def gives() -> Iterator[tuple[str, int]]:
    """A port that closes the first connection at once, as qemu's do, and then sends 1000 bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):  # it is closed, and no client came
                for data in (b"", bytes(1000)):
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()


@pytest.fixture
def outside(gives: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[FromOutside]:
    monkeypatch.setattr("rollout.probe.outside.SocketOwner", NoSocketOwner)
    ways = {("203.0.113.2", 80, "tcp"): gives, ("203.0.113.2", 8999, "tcp"): gives}
    with closing(FromOutside(Ssh("203.0.113.2"), ways)) as found:
        yield found


def test_probes_go_through_the_door_and_ask_for_the_hosts_own_port() -> None:
    ways: Doors = {
        ("203.0.113.2", 80, "tcp"): ("127.0.0.1", 4080),
        ("203.0.113.2", 53, "udp"): ("127.0.0.1", 4053),
    }
    found = {each.name: each for each in watches(SITE, doors=ways)}
    web = found["web"]
    assert (str(web.address), web.port, web.behind) == ("127.0.0.1", 4080, 80)
    assert web.host == "www.example.org"
    assert (found["bind 53/udp"].port, found["bind 53/udp"].behind) == (4053, 53)
    mysql = found["mysql"]
    assert (str(mysql.address), mysql.port, mysql.behind) == ("203.0.113.2", 3306, None)


def test_a_host_behind_a_router_is_asked_where_its_clients_find_it() -> None:
    """Most clouds translate the public address one to one; the host's rules know its own."""
    wan, seen = SITE.host.wan_address, IPv4Address("198.51.100.7")
    host = SITE.host.model_copy(update={"seen_at": {wan: seen}})
    made = SITE.model_copy(update={"host": host})
    found = watches(made)
    assert {str(each.address) for each in found} == {"198.51.100.7"}
    assert {each.name: each.behind for each in found}["web"] == 80
    assert translated(made)["203.0.113.2", SITE.egress.probe_port or 0, "tcp"] == (
        "198.51.100.7",
        8999,
    )
    assert translated(SITE) == {}


def test_a_page_is_asked_for_by_the_hosts_own_address() -> None:
    services = dict(SITE.services)
    [listen] = services["web"].ports
    unnamed = listen.model_copy(update={"name": None})
    services["web"] = services["web"].model_copy(update={"ports": (unnamed,)})
    made = SITE.model_copy(update={"services": services})
    found = {
        e.name: e for e in watches(made, doors={("203.0.113.2", 80, "tcp"): ("127.0.0.1", 4080)})
    }
    assert found["web"].host == "203.0.113.2"


def test_the_owner_is_asked_for_by_the_hosts_own_port(
    outside: FromOutside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outside.who("203.0.113.2", 80, "tcp") == "web"
    socket_owner = NoSocketOwner(())
    asked = Watch(name="web", kind="http", address="127.0.0.1", port=4080, behind=80)  # type: ignore[arg-type]  # parsed
    results = prober.Results(tmp_path / "out")
    watcher = prober.Watcher(asked, results, socket_owner, 1.0, prober.Failures())  # type: ignore[arg-type]  # stands for one

    with socket.socket() as connection:

        class Probe:
            def answered(self, deadline: float) -> AbstractContextManager[Answer]:
                return nullcontext(Answer(connection))

        monkeypatch.setattr(watcher, "_probe", Probe())
        watcher._ask_for_owner()
    results.close()
    assert socket_owner.asked == [80]


def test_a_download_comes_through_the_door(outside: FromOutside) -> None:
    """Though the forwarded port is open before a server stands behind it."""
    assert outside.read("203.0.113.2", 8999, 5.0).bytes == 1000


def test_a_port_that_never_gives_anything_is_given_up(gives: tuple[str, int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        assert transfer.read(host, port, 0.5).bytes == 0


def test_a_datagram_goes_through_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def ask(question: dns.message.Message, where: str, timeout: float, port: int) -> None:
        asked.append((where, port))

    class Local:
        name = "here"

        def shell(self) -> subprocess.Popen[bytes]:
            pipe = subprocess.PIPE
            stub = "ipfw() { :; }; jls() { :; }"
            shell = subprocess.Popen(["/bin/sh"], stdin=pipe, stdout=pipe, stderr=pipe)
            assert shell.stdin
            shell.stdin.write(f"{stub}\n".encode())
            return shell

    monkeypatch.setattr("dns.query.udp", ask)
    door = ("127.0.0.1", 4053)
    assert udp.who(Local(), "203.0.113.2", 53, door) == "host"
    assert asked == [door]


def test_a_host_key_is_looked_up_by_the_hosts_own_address() -> None:
    forwarded = Ssh("127.0.0.1", port=4022, known_as="203.0.113.2")
    assert "HostKeyAlias=203.0.113.2" in forwarded.argv()
    assert not [word for word in Ssh("203.0.113.2").argv() if "HostKeyAlias" in word]
