"""Private ports are watched through ssh, or reported as not watched."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import site
from rollout.host.session import Ssh
from rollout.probe.private import private_watches
from rollout.site import Listen, Site

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")
SSH = """#!{python}
import os, socket, sys, threading
words = sys.argv[1:]
if "-N" not in words:
    os.execvp("/bin/sh", ["sh"])
ends = [words[n + 1].split(":") for n, word in enumerate(words) if word == "-L"]
def serve(here, there):
    server = socket.create_server(("127.0.0.1", int(here)))
    while True:
        client, _ = server.accept()
        if os.environ["FORWARDS"] == "yes":
            client.sendall(b"hello")
            threading.Event().wait(0.3)
        client.close()
for _, here, _, there in ends:
    threading.Thread(target=serve, args=(here, there)).start()
"""
"""Replaces ssh: runs the command in a shell, and forwards ports to a server that says hello."""


def with_ports(*ports: Listen) -> Site:
    mysql = SAMPLE.services["mysql"].model_copy(update={"ports": ports})
    return SAMPLE.model_copy(update={"services": {"mysql": mysql}})


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "ssh").write_text(SSH.format(python=sys.executable))
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("FORWARDS", "yes")
    yield


@pytest.mark.usefixtures("ssh")
def test_a_private_port_is_asked_through_a_port_of_this_machine() -> None:
    said: list[str] = []
    quiet = with_ports(Listen(port=3306, probe="mysql", public=False))
    with private_watches(quiet, Ssh("203.0.113.2"), said.append) as [watch]:
        assert (watch.name, watch.kind, watch.behind) == ("mysql", "mysql", 3306)
        with socket.create_connection((str(watch.address), watch.port)) as connection:
            assert connection.recv(5) == b"hello"
    assert said == []
    deadline = time.monotonic() + 10
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:  # a killed process takes a moment to be gone
            socket.create_connection((str(watch.address), watch.port)).close()


@pytest.mark.usefixtures("ssh")
def test_a_host_that_forbids_forwarding_is_told_to_be_unwatched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORWARDS", "no")
    said: list[str] = []
    quiet = with_ports(
        Listen(port=3306, public=False), Listen(port=3307, proto="udp", public=False)
    )
    with private_watches(quiet, Ssh("203.0.113.2"), said.append) as found:
        assert found == []
    assert [line.partition(" is ")[0] for line in said] == ["mysql 3307/udp", "mysql 3306/tcp"]
    assert all("not watched" in line for line in said)


def test_where_all_ports_are_public_no_connection_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with private_watches(SAMPLE, Ssh("203.0.113.2"), print) as found:
        assert found == []
