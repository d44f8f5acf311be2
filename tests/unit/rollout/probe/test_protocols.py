"""Each kind of probe against a small server on the loopback: what counts as an answer, and what
only resembles one.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread
from typing import Any, get_args

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from pydantic import ValidationError

from rollout.probe.protocols import KINDS
from rollout.probe.watch import Answer, Kind, Probe, Watch
from rollout.site import model

LOOPBACK = IPv4Address("127.0.0.1")
SECRET = "-".join(("open", "sesame"))
Talk = Callable[[socket.socket], None]


@contextmanager
def serving(talk: Talk, listener: socket.socket | None = None) -> Iterator[int]:
    """Serves one client after the other; yields the port."""
    listener = listener or socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError):
                    talk(client)

    thread = Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1] if listener.family == socket.AF_INET else 0
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def ask(kind: Any, port: int, timeout: float = 5.0, **more: Any) -> Answer:
    """The answer; the probe's exception where there is none."""
    watch = Watch(name="it", kind=kind, address=LOOPBACK, port=port, timeout=timeout, **more)
    with KINDS[kind](watch).answered(time.monotonic() + timeout) as answer:
        if answer.connection is not None:
            assert answer.connection.getpeername()[1] == port  # still open, for the socket owner
    return answer


def lines(text: str, *replies: str) -> Talk:
    """Says `text`, then a reply to each line it hears; {tag} is the first word of that line."""

    def talk(client: socket.socket) -> None:
        with client.makefile("rw", newline="") as stream:
            stream.write(text)
            stream.flush()
            for reply in replies:
                tag, *_ = stream.readline().split() or [""]
                stream.write(reply.format(tag=tag))
                stream.flush()
            client.settimeout(5)
            client.recv(1)

    return talk


def http(response: bytes) -> Talk:
    def talk(client: socket.socket) -> None:
        heard = b""
        while not heard.endswith(b"\r\n\r\n"):
            heard += client.recv(4096)
        assert b"Host: www.example.org\r\n" in heard
        client.sendall(response)

    return talk


def test_tcp_wants_a_listener() -> None:
    with serving(lambda client: None) as port:
        assert ask("tcp", port).connection is not None
    with pytest.raises(ConnectionRefusedError):
        ask("tcp", port)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ],
)
def test_http_answers(response: bytes) -> None:
    with serving(http(response)) as port:
        ask("http", port, host="www.example.org")


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "IncompleteRead"),
        (b"", "closed connection"),
    ],
)
def test_http_that_is_no_answer(response: bytes, why: str) -> None:
    with serving(http(response)) as port, pytest.raises(Exception, match=why):
        ask("http", port, host="www.example.org")


def test_http_that_drips_is_held_to_the_deadline() -> None:
    def drip(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            client.sendall(b".")
            time.sleep(0.02)

    with serving(drip) as port, pytest.raises(TimeoutError):
        ask("http", port, timeout=0.2)


def packet(number: int, payload: bytes) -> bytes:
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def refusal(number: int, code: int) -> bytes:
    return packet(number, b"\xff" + struct.pack("<H", code) + b"#28000said the server")


GREETING = packet(
    0,
    b"\x0a8.0.36-fake\0"
    + struct.pack("<I", 7)
    + b"saltsalt\0"
    + struct.pack("<HBHHB", 0xF7FF, 33, 2, 0x000F, 21)
    + bytes(10)
    + b"saltsaltsalt\0mysql_native_password\0",
)
OK = b"\0\0\0\2\0\0\0"


def mysql(*replies: bytes) -> Talk:
    def talk(client: socket.socket) -> None:
        for reply in replies:
            client.sendall(reply)
            client.recv(4096)

    return talk


@pytest.mark.parametrize("code", [1045, 1698])
def test_mysql_that_denies_a_stranger_answers(code: int) -> None:
    with serving(mysql(GREETING, refusal(2, code))) as port:
        assert ask("mysql", port).connection is not None


@pytest.mark.parametrize(
    ("replies", "user", "why"),
    [
        ([refusal(0, 1040)], None, "1040"),  # too many connections
        ([refusal(0, 1129)], None, "1129"),  # host is blocked
        ([refusal(0, 1130)], None, "1130"),  # it sees an address that may not connect
        ([GREETING, refusal(2, 1040)], None, "1040"),
        ([GREETING, refusal(2, 1045)], "monitor", "1045"),
        ([GREETING], None, "Lost connection"),
        ([], None, "before the greeting"),
    ],
)
def test_mysql_that_is_no_answer(replies: list[bytes], user: str | None, why: str) -> None:
    with serving(mysql(*replies)) as port, pytest.raises(Exception, match=why):
        ask("mysql", port, user=user)


def test_mysql_lets_a_configured_user_in() -> None:
    with serving(mysql(GREETING, packet(2, OK), packet(1, OK), packet(1, OK))) as port:
        ask("mysql", port, user="monitor", password=SECRET)


def zone(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    soa = "ns.example.org. root.example.org. 1 7200 900 86400 300"
    reply.answer.append(dns.rrset.from_text("example.org.", 300, "IN", "SOA", soa))
    return reply


def no_data(query: dns.message.Message) -> dns.message.Message:
    reply = zone(query)
    reply.authority, reply.answer = reply.answer, []
    return reply


def empty(query: dns.message.Message) -> dns.message.Message:
    return dns.message.make_response(query)


def refused(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.REFUSED)
    return reply


@contextmanager
def named(kind: str, reply: Callable[[Any], dns.message.Message]) -> Iterator[int]:
    def talk(client: socket.socket) -> None:
        query = dns.message.from_wire(client.recv(4096)[2:])
        wire = reply(query).to_wire()
        client.sendall(struct.pack(">H", len(wire)) + wire)
        client.recv(1)

    def serve(listener: socket.socket) -> None:
        wire, client = listener.recvfrom(4096)
        query = dns.message.from_wire(wire)
        assert not query.flags & dns.flags.RD
        listener.sendto(reply(query).to_wire(), client)

    if kind == "dns-tcp":
        with serving(talk) as port:
            yield port
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.bind(("127.0.0.1", 0))
            thread = Thread(target=serve, args=(listener,))
            thread.start()
            yield listener.getsockname()[1]
            thread.join()


@pytest.mark.parametrize("kind", ["dns", "dns-tcp"])
@pytest.mark.parametrize("reply", [zone, no_data])
def test_dns_answers(kind: str, reply: Callable[[Any], dns.message.Message]) -> None:
    with named(kind, reply) as port:
        ask(kind, port, query="example.org")


@pytest.mark.parametrize("kind", ["dns", "dns-tcp"])
@pytest.mark.parametrize(("reply", "why"), [(empty, "not loaded"), (refused, "REFUSED")])
def test_a_named_without_its_zones_is_no_answer(
    kind: str, reply: Callable[[Any], dns.message.Message], why: str
) -> None:
    with named(kind, reply) as port, pytest.raises(LookupError, match=why):
        ask(kind, port, query="example.org")


IMAP = (
    "* OK ready\r\n",
    "* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n",
    "* BYE\r\n{tag} OK done\r\n",
)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("smtp", ("220 mail.example.org ESMTP\r\n", "221 bye\r\n")),
        ("imap", IMAP),
        ("pop3", ("+OK ready\r\n", "+OK bye\r\n")),
    ],
)
def test_mail_answers(kind: str, said: tuple[str, ...]) -> None:
    with serving(lines(*said)) as port:
        assert ask(kind, port).connection is not None


def test_smtp_that_is_too_busy_is_no_answer() -> None:
    with (
        serving(lines("421 too many connections\r\n")) as port,
        pytest.raises(OSError, match="421"),
    ):
        ask("smtp", port)


@pytest.mark.parametrize("kind", ["http", "mysql", "smtp", "imap"])
def test_a_daemon_that_only_accepts_is_no_answer(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(OSError):
        ask(kind, listener.getsockname()[1], timeout=0.1)


@contextmanager
def standin(path: Path, *answers: str | None) -> Iterator[list[Any]]:
    """A control socket that takes one question for each answer, then closes; what it was asked."""
    asked: list[Any] = []

    def talk(client: socket.socket) -> None:
        with client.makefile("rw") as stream:
            for answer in answers:
                asked.append(json.loads(stream.readline()))
                stream.write(json.dumps({"answer": answer}) + "\n")
                stream.flush()

    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    with serving(talk, listener):
        yield asked


def who(probe: Probe) -> str | None:
    with probe.answered(time.monotonic() + 5) as answer:
        return answer.who


def test_the_standin_says_who(tmp_path: Path) -> None:
    control = tmp_path / "control"
    watch = Watch(
        name="web", kind="standin", address=IPv4Address("203.0.113.2"), port=80, control=control
    )
    probe = KINDS["standin"](watch)
    with standin(control, "host", "web", None) as asked:
        assert [who(probe), who(probe)] == ["host", "web"]  # over one connection
        with pytest.raises(LookupError, match="no answer"):
            who(probe)
        assert asked[0] == {
            "ask": "who_answers",
            "address": "203.0.113.2",
            "port": 80,
            "proto": "tcp",
            "source": "outside",
        }
    with pytest.raises(OSError):
        who(probe)
    with standin(control, "host"):
        assert who(probe) == "host"  # it was booted again
    with pytest.raises(OSError):
        who(probe)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kind": "gopher"}, "Input should be 'tcp', 'http'"),
        ({"kind": "dns"}, "query"),
        ({"kind": "standin"}, "control"),
        ({"kind": "tcp", "colour": "red"}, "colour"),
        ({"kind": "tcp", "rate": 0}, "rate"),
    ],
)
def test_a_watch_refuses_what_it_does_not_know(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Watch(name="it", address=LOOPBACK, port=80, **wrong)


def test_every_kind_has_its_probe() -> None:
    assert set(KINDS) == set(get_args(Kind))
    assert set(KINDS) == {"standin", *map(str, kinds_of_the_site())}


def kinds_of_the_site() -> Iterator[str]:
    for part in get_args(model.Probe):
        yield from get_args(part) or (part,)


def test_a_refused_watch_does_not_tell_its_password() -> None:
    with pytest.raises(ValidationError) as refused:
        Watch(name="db", kind="tcp", address=LOOPBACK, port=0, password=SECRET)
    assert SECRET not in str(refused.value)
