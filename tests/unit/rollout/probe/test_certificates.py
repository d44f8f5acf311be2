"""The certificate that a port presented at the start of a run, compared with the one of now."""

from __future__ import annotations

import socket
from contextlib import closing
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from rollout import site
from rollout.probe.certificates import Certificates
from rollout.probe.watch import Watch
from rollout.site import Listen
from tests.unit.rollout.probe import served

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")
SOON = datetime(2027, 1, 1)


def remembered(port: int) -> Certificates:
    seen = Certificates()
    address = IPv4Address("127.0.0.1")
    seen.watch(
        [
            Watch(
                name="it", kind="smtps", address=address, port=port, timeout=5, has_certificate=True
            )
        ]
    )
    seen.remember()
    return seen


def changed(seen: Certificates, port: int) -> str | None:
    listen = Listen(port=port, probe="smtps")
    it = SAMPLE.services["mail"].model_copy(update={"ports": (listen,)})
    return seen.changed(SAMPLE.model_copy(update={"services": {"it": it}}), "it", listen)


def test_a_certificate_that_changes_during_a_run_is_reported_with_both(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    before = served.certified(tmp_path, "www.example.org")
    other = served.certified(tmp_path / "other", "www.example.org", ends=SOON)
    pem = tmp_path / "in-use.pem"
    pem.write_bytes(before.read_bytes())

    def talk(client: socket.socket) -> None:
        served.tunnelled(pem, "220 ready\r\n", {"QUIT": "221 bye\r\n"})(client)

    with served.serving(talk) as port:
        seen = remembered(port)
        assert changed(seen, port) == ""
        pem.write_bytes(other.read_bytes())
        told = changed(seen, port) or ""
        assert told.startswith("presents another certificate: www.example.org, ends 2027-01-01")
        assert "; before: www.example.org, ends 2031-05-06" in told
        assert changed(remembered(port), port) == ""  # the next run, after a renewal
        seen.watch([])
        assert changed(seen, port) is None


def test_a_port_that_presents_no_certificate_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollout.probe.certificates._ANSWER_WITHIN", 0.1)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    told = changed(remembered(port), port) or ""
    assert told.startswith("presents no certificate (ConnectionRefusedError")
