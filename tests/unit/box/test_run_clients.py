"""The clients as processes, on this machine's loopback."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from box.clients.__main__ import parser
from box.clients.results import Got, Inserted
from box.remote import Answer
from box.run_clients import PROJECT, Client, ClientError
from rollout.host.session import Ssh

HERE = Ssh("127.0.0.1")


@dataclass
class Here:
    """Takes the place of a guest; its port is one of this machine's."""

    scratch: Path
    port: int = 1
    sources: tuple[str, ...] = ()
    target: Ssh = HERE

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        return "127.0.0.1", self.port

    def argv(self, *command: str) -> list[str]:
        return list(command)

    def sh(self, command: str, timeout: float = 1.0) -> Answer:
        raise AssertionError("there is no guest to contact")

    def wait_until(self, question: Callable[[], bool], what: str, limit: float) -> None:
        raise AssertionError("nothing is waited for")


def test_a_client_runs_until_it_is_stopped(tmp_path: Path, port: int) -> None:
    with Client(Here(tmp_path, port), Got, "get", 80, "--threads", "2") as client:
        client.wait_ready()
        got = client.stop()
    assert got.answered >= 1
    assert not got.failures


def test_a_client_that_is_never_answered_is_not_ready(tmp_path: Path) -> None:
    with (
        Client(Here(tmp_path), Inserted, "insert", 3306, "--for", "0.2") as client,
        pytest.raises(ClientError, match="no good answer"),
    ):
        client.wait_ready()


def test_a_client_that_fails_is_quoted(tmp_path: Path) -> None:
    with (
        Client(Here(tmp_path), Got, "get", 80, "--rate", "101") as client,
        pytest.raises(ClientError, match="101: expected above 0 and at most 100"),
    ):
        client.stop()


def test_sigterm_ends_it_with_a_whole_result(tmp_path: Path, port: int) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "box.clients", "get", "--host", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--port", str(port), "--out", str(out)], cwd=PROJECT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert Got.read(out).answered >= 1


@pytest.mark.parametrize(
    ("client", "option", "value"),
    [
        ("insert", "--rate", "201"),
        ("insert", "--rate", "0"),
        ("get", "--rate", "100.5"),
        ("insert", "--for", "3601"),
    ],
)
def test_no_client_may_become_a_flood(
    client: str, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([client, "--out", "x", option, value])
    assert f"{value}: expected above 0 and at most" in capsys.readouterr().err
