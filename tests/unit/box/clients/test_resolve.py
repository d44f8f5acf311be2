"""The client that queries a name server, against small servers on this machine."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.rrset
import pytest

from box.clients import resolve as clients
from box.clients.resolve import resolve
from box.clients.results import Resolved
from box.clients.stopping import Stop

SOA = "ns1.example.org. root.example.org. 7 1 1 1 1"
Reply = Callable[[dns.message.Message], None]


def whole(reply: dns.message.Message) -> None:
    reply.flags |= dns.flags.AA
    reply.answer.append(dns.rrset.from_text("example.org.", 300, "IN", "SOA", SOA))


def without_authority(reply: dns.message.Message) -> None:
    whole(reply)
    reply.flags &= ~dns.flags.AA


def empty(reply: dns.message.Message) -> None:
    reply.flags |= dns.flags.AA


class Both:
    """A name server on both transports, at one port."""

    def __init__(self, change: Reply) -> None:
        def answer(wire: bytes) -> bytes:
            reply = dns.message.make_response(dns.message.from_wire(wire))
            change(reply)
            return reply.to_wire()

        class Udp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                wire, there = self.request
                there.sendto(answer(wire), self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                length = int.from_bytes(self.rfile.read(2))
                reply = answer(self.rfile.read(length))
                self.wfile.write(len(reply).to_bytes(2) + reply)

        self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp)
        self.port = self.tcp.server_address[1]
        self.udp = socketserver.UDPServer(("127.0.0.1", self.port), Udp)
        for server in (self.tcp, self.udp):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        for server in (self.tcp, self.udp):
            server.shutdown()
            server.server_close()


@pytest.fixture
def serving() -> Iterator[Callable[[Reply], int]]:
    begun: list[Both] = []

    def serve(change: Reply) -> int:
        begun.append(Both(change))
        return int(begun[-1].port)

    yield serve
    for each in begun:
        each.close()


def asked(port: int, first: Callable[[], None] = lambda: None) -> Resolved:
    return resolve("127.0.0.1", port, "example.org", Stop(0.3), rate=50, first=first)


def test_good_answers_are_counted_by_transport(serving: Callable[[Reply], int]) -> None:
    told: list[bool] = []
    found = asked(serving(whole), lambda: told.append(True))
    assert not found.failures
    assert found.over_udp >= 5
    assert found.over_tcp >= 5
    assert told == [True]


@pytest.mark.parametrize(
    ("change", "why"),
    [(without_authority, "an answer without authority"), (empty, "NOERROR, 0 answers")],
)
def test_an_answer_that_is_none_is_a_failure(
    serving: Callable[[Reply], int], change: Reply, why: str
) -> None:
    found = asked(serving(change))
    assert (found.over_udp, found.over_tcp) == (0, 0)
    assert {failure.error.partition(":")[0] for failure in found.failures} == {"udp", "tcp"}
    assert all(why in failure.error for failure in found.failures)


def test_nobody_there_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "ANSWER_LIMIT", 0.2)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = asked(closed.getsockname()[1])
    assert any("ConnectionRefusedError" in failure.error for failure in found.failures)


def test_what_failed_before_the_first_answers_is_no_failure_of_the_service(
    serving: Callable[[Reply], int],
) -> None:
    asked_so_far = iter(range(10**6))

    def late(reply: dns.message.Message) -> None:
        if next(asked_so_far) >= 6:
            whole(reply)

    found = asked(serving(late))
    assert found.over_udp
    assert found.over_tcp
    assert not found.failures
