"""syslog and pings: each told of what it is for, and a failure is a line of words."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from rollout.monitoring import notify

ASKED: list[str] = []


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ASKED.append(self.path)
        self.send_response(404 if "nosuch" in self.path else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    ASKED.clear()
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_url_is_asked_for_when_all_is_well_and_its_fail_when_not(url: str) -> None:
    assert notify.ping(f"{url}/ab-cd", well=True) == ""
    assert notify.ping(f"{url}/ab-cd", well=False) == ""
    assert notify.ping(f"{url}/ab-cd/?create=1", well=False) == ""
    assert ASKED == ["/ab-cd", "/ab-cd/fail", "/ab-cd/fail?create=1"]


def test_no_good_answer_is_said_without_the_path_which_is_a_secret(url: str) -> None:
    said = notify.ping(f"{url}/nosuch-secret", well=True)
    assert said == "127.0.0.1 gave no good answer: HTTP Error 404: Not Found"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = notify.ping(f"http://127.0.0.1:{port}/secret", well=True)
    assert "Connection refused" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://hc-ping.com/your-uuid", True),
        ("http://[::1]:8000/x", True),
        ("hc-ping.com/your-uuid", False),
        ("file:///etc/passwd", False),
        ("ftp://example.org/", False),
        ("https://", False),
        ("https://[::1", False),
        ("https://example.org:port/", False),
        ("https://example.org:99999/", False),
        ("https://example.org/a b\n", False),
        ("", False),
    ],
)
def test_what_can_be_asked_for(text: str, is_one: bool) -> None:
    assert notify.is_url(text) is is_one


def test_syslogd_gets_each_line_with_its_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "log"
    monkeypatch.setattr(notify, "SOCKETS", (str(tmp_path / "none"), str(place)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(place))
        daemon.settimeout(5)
        assert notify.syslog([(logging.WARNING, "100 % full"), (logging.INFO, "over")]) == ""
        assert daemon.recv(999) == b"<28>cellblock: 100 % full\0"  # daemon.warning
        assert daemon.recv(999) == b"<30>cellblock: over\0"  # daemon.info


def test_a_syslogd_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notify, "SOCKETS", (str(tmp_path / "none"),))
    assert notify.syslog([(logging.INFO, "x")]).startswith("no syslogd listens on this machine")
    place = tmp_path / "log"
    monkeypatch.setattr(notify, "SOCKETS", (str(place),))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(place))
    assert notify.syslog([(logging.INFO, "x")]) == f"{place}: Connection refused"
    assert capfd.readouterr() == ("", "")
