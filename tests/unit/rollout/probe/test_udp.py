"""Who answers a datagram: the host's nat rule counts the one that we sent."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import dns.message
import pytest

from rollout.probe import udp

RULES = """\
00052  {n}  840 nat 52 udp from not 10.80.0.0/24 to 127.0.0.1 {port} in
00056  99  900 nat 52 udp from 10.80.0.2 53 to not 10.80.0.0/24 out
65535 999 9000 allow ip from any to any
ipfw nat 52 config ip 127.0.0.1 same_ports redirect_addr 10.80.0.2 127.0.0.1
bind 10.80.0.2
web 10.80.0.4,10.80.0.44
"""


class Host:
    """A local sh whose ipfw prints what `said` holds."""

    name = "here"

    def __init__(self, where: Path) -> None:
        self.said = where / "said"
        self.said.write_text("")
        for name in ("ipfw", "jls"):
            shows = f"cat {self.said}" if name == "ipfw" else ":"
            (where / name).write_text(f'#!/bin/sh\n[ "$1" = nat ] || {shows}\n')
            (where / name).chmod(0o755)
        self._path = f"{where}:/usr/bin:/bin"

    def shell(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            ["/bin/sh"], stdin=pipe, stdout=pipe, stderr=pipe, env={"PATH": self._path}
        )


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def answering(server: socket.socket, then: Path, said: str) -> Thread:
    """Refuses one question, after the host's counters have moved on to `said`."""

    def answer() -> None:
        wire, client = server.recvfrom(512)
        then.write_text(said)
        server.sendto(dns.message.make_response(dns.message.from_wire(wire)).to_wire(), client)

    thread = Thread(target=answer)
    thread.start()
    return thread


@pytest.mark.parametrize(("after", "who"), [(13, "bind"), (12, "host")])
def test_whom_the_nat_led_it_to(
    tmp_path: Path, server: socket.socket, after: int, who: str
) -> None:
    port = server.getsockname()[1]
    host = Host(tmp_path)
    host.said.write_text(RULES.format(n=12, port=port))
    thread = answering(server, host.said, RULES.format(n=after, port=port))
    assert udp.who(host, "127.0.0.1", port) == who
    thread.join()


def test_a_further_address_of_the_host_leads_to_a_further_one_of_the_jail(
    tmp_path: Path, server: socket.socket
) -> None:
    port = server.getsockname()[1]
    host = Host(tmp_path)
    rules = RULES.replace("10.80.0.2 127.0.0.1", "10.80.0.254 127.0.0.1")
    rules = rules.replace("bind 10.80.0.2", "bind 10.80.0.2,10.80.0.254")
    host.said.write_text(rules.format(n=12, port=port))
    thread = answering(server, host.said, rules.format(n=13, port=port))
    assert udp.who(host, "127.0.0.1", port) == "bind"
    thread.join()


def test_without_a_nat_it_is_the_host(tmp_path: Path, server: socket.socket) -> None:
    host = Host(tmp_path)
    thread = answering(server, host.said, "")
    assert udp.who(host, "127.0.0.1", server.getsockname()[1]) == "host"
    thread.join()


def test_no_answer_is_nobodys(
    tmp_path: Path, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "_LIMIT", 0.2)
    assert udp.who(Host(tmp_path), "127.0.0.1", server.getsockname()[1]) is None
