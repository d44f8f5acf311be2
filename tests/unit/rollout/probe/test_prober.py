"""The prober as its own process, watching servers on the loopback that come and go."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest

from rollout.probe import outage
from rollout.probe.prober import Prober, ProberDied
from rollout.probe.watch import Watch

LOOPBACK = IPv4Address("127.0.0.1")
SLACK = 0.3  # seconds that a busy machine may add to any measurement
SOCKET_OWNER = """
echo ready
while read -r port address client proto; do
    echo "$port $address $client $proto web"
done
"""


class Server:
    """Sends an SMTP banner to every client, on one port, while it is up."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self._listener: socket.socket | None = None
        self._thread = Thread()

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._thread = Thread(target=self._serve, args=(self._listener,))
        self._thread.start()

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            self._thread.join()

    @staticmethod
    def _serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                Thread(target=Server._talk, args=(client,)).start()

    @staticmethod
    def _talk(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(5)
            client.sendall(b"220 ready\r\n")
            client.recv(100)
            client.sendall(b"221 bye\r\n")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


def watching(server: Server, name: str = "mail", timeout: float = 0.5) -> Watch:
    return Watch(name=name, kind="smtp", address=LOOPBACK, port=server.port, timeout=timeout)


def test_a_gap_is_as_long_as_the_server_was_away(tmp_path: Path, server: Server) -> None:
    with Prober([watching(server)], None, tmp_path / "seen.jsonl") as prober:
        time.sleep(0.3)
        began = time.time()
        server.stop()
        time.sleep(0.6)
        server.start()
        ended = time.time()
        time.sleep(0.5)
        path = prober.stop()
    mail = outage.read(path)["mail"]
    (gap,) = mail.gaps
    assert ended - began - 0.05 <= gap.seconds <= ended - began + 2 / 20 + SLACK
    # The probe that is being answered when the server stops is reset, the next ones are refused.
    assert re.search("Connection (refused|reset)", gap.error)
    assert gap.failed >= 6
    assert mail.window(began, ended).verdict == "outage"


def test_twenty_a_second_for_six_services_at_once(tmp_path: Path, server: Server) -> None:
    names = [f"service-{n}" for n in range(6)]
    watches = [watching(server, name, timeout=1.0) for name in names]
    with Prober(watches, None, tmp_path / "seen.jsonl") as prober:
        time.sleep(1.5)
        seen = outage.read(prober.stop())
    assert list(seen) == names
    for service in seen.values():
        assert service.rate_reached >= 20
        assert not service.gaps


def test_probes_that_hang_do_not_thin_out_the_others(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        port = silent.getsockname()[1]
        watch = Watch(name="mail", kind="smtp", address=LOOPBACK, port=port, timeout=0.5)
        with Prober([watch], None, tmp_path / "seen.jsonl") as prober:
            time.sleep(0.5)
            mail = outage.read(prober.stop())["mail"]
    starts = [probe.start for probe in mail.probes]
    assert len(starts) >= 15
    assert max(later - earlier for earlier, later in pairwise(starts)) < SLACK
    (gap,) = mail.gaps
    assert not gap.closed


def test_the_socket_owner_is_asked_at_times_and_after_a_gap(tmp_path: Path, server: Server) -> None:
    socket_owner = ["sh", "-c", SOCKET_OWNER]
    with Prober([watching(server)], socket_owner, tmp_path / "seen.jsonl", hold=0.2) as prober:
        time.sleep(0.7)
        away = time.time()
        server.stop()
        time.sleep(0.2)
        back = time.time()
        server.start()
        time.sleep(0.5)
        mail = outage.read(prober.stop())["mail"]
    (owner,) = mail.owners
    assert owner.who == "web"
    assert len([probe for probe in mail.probes if probe.held and probe.start < away]) >= 2
    first = min(p.start for p in mail.probes if p.who and p.start > back)
    assert first < back + 0.2 + SLACK


def test_the_host_is_not_asked_for_owners_in_a_cut_over(tmp_path: Path, server: Server) -> None:
    """Nor for the other services: the host's spare time is for the service that is down."""
    steady = Server()
    steady.start()
    watches = [watching(server), watching(steady, "web")]
    try:
        with Prober(
            watches, ["sh", "-c", SOCKET_OWNER], tmp_path / "seen.jsonl", hold=0.1
        ) as prober:
            time.sleep(0.4)
            away = time.time()
            server.stop()
            time.sleep(0.8)
            back = time.time()
            server.start()
            time.sleep(0.8)
            web = outage.read(prober.stop())["web"]
    finally:
        steady.stop()
    asked = [probe.start for probe in web.probes if probe.held]
    assert asked and min(asked) < away and max(asked) > back
    assert not [start for start in asked if away + SLACK < start < back]


@pytest.mark.parametrize(
    "socket_owner", [["sh", "-c", "exit 1"], ["sh", "-c", "echo ready; sleep 9"]]
)
def test_a_lost_socket_owner_costs_only_the_owners(
    tmp_path: Path, server: Server, socket_owner: list[str]
) -> None:
    with Prober([watching(server)], socket_owner, tmp_path / "seen.jsonl", hold=0.1) as prober:
        time.sleep(0.6)
        mail = outage.read(prober.stop())["mail"]
    assert mail.rate_reached >= 20
    assert not mail.gaps
    assert not mail.owners


def test_a_second_prober_goes_on_in_the_same_file(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "seen.jsonl"
    path.write_text('{"t": 1, "serv')
    for _ in range(2):
        with Prober([watching(server)], None, path):
            pass
    mail = outage.read(path)["mail"]
    assert len(mail.runs) == 2
    assert all(mail.runs)


def test_it_ends_with_its_parent(tmp_path: Path, server: Server) -> None:
    config = {
        "watches": [watching(server).model_dump(mode="json")],
        "results": str(tmp_path / "seen.jsonl"),
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with subprocess.Popen(
        [sys.executable, "-m", "rollout.probe.prober", tmp_path / "config.json"],
        cwd=Path(__file__).parents[4],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.close()
        assert process.wait(10) == 0
    assert outage.read(tmp_path / "seen.jsonl")["mail"].probes


def test_a_prober_that_died_is_an_error(tmp_path: Path, server: Server) -> None:
    with (
        pytest.raises(ProberDied),
        Prober([watching(server)], None, tmp_path / "s.jsonl") as prober,
    ):
        prober.must_be_watching()
        process = prober._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        with pytest.raises(ProberDied):
            prober.must_be_watching()


def test_a_prober_that_cannot_start_says_why(tmp_path: Path, server: Server) -> None:
    results = tmp_path / "taken.jsonl"
    results.mkdir()
    with pytest.raises(ProberDied, match="Is a directory"):
        Prober([watching(server)], None, results).start()
