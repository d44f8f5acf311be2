"""Bytes between this machine and itself, counted and timed."""

from __future__ import annotations

import socket
import threading
import time

from rollout.probe import transfer
from rollout.probe.transfer import TcpSink


def test_a_sink_counts_what_a_connection_sends() -> None:
    with TcpSink() as sink:
        with socket.create_connection(("127.0.0.1", sink.port)) as connection:
            connection.sendall(bytes(300_000))
        got = sink.received(5)
    assert got is not None
    assert got.bytes == 300_000


def test_a_sink_that_nobody_finds_says_so() -> None:
    with TcpSink() as sink:
        assert sink.received(0.1) is None


def test_a_connection_that_stalls_is_given_up_at_the_limit() -> None:
    with TcpSink() as sink, socket.create_connection(("127.0.0.1", sink.port)) as connection:
        connection.sendall(bytes(65536))
        began = time.monotonic()
        got = sink.received(0.5)
        assert time.monotonic() - began < 5
    assert got is not None
    assert got.bytes == 65536


def test_reading_waits_until_somebody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def give() -> None:
        time.sleep(0.3)
        with socket.create_server(("127.0.0.1", port)) as server:
            connection, _ = server.accept()
            with connection:
                connection.sendall(bytes(1000))

    giving = threading.Thread(target=give)
    giving.start()
    assert transfer.read("127.0.0.1", port, 5).bytes == 1000
    giving.join()
    assert transfer.read("127.0.0.1", port, 0.3).bytes == 0
