"""Services that speak TLS: each kind of probe against a real one, and its certificate."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, get_args

import pytest

from rollout.probe import outage
from rollout.probe.prober import Prober
from rollout.probe.protocols import KINDS
from rollout.probe.recent import Recent
from rollout.probe.tls import Certificate, Presented
from rollout.probe.watch import Answer, Watch
from rollout.probe.watches import watches
from rollout.site import read
from rollout.site.model import Probe
from tests.unit.rollout.probe.served import (
    Talk,
    certified,
    context,
    der,
    said,
    serving,
    tunnelled,
    upgraded,
)

LOOPBACK = IPv4Address("127.0.0.1")
SAMPLE = Path(__file__).parents[4] / "site.example.toml"
SMTP = {
    "EHLO": "250-mail\r\n250 STARTTLS\r\n",
    "STARTTLS": "220 go on\r\n",
    "QUIT": "221 bye\r\n",
}
IMAP = {
    "CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n",
    "STARTTLS": "{tag} OK go on\r\n",
    "LOGOUT": "* BYE\r\n{tag} OK bye\r\n",
}
POP3 = {"CAPA": "+OK\r\nSTLS\r\n.\r\n", "STLS": "+OK go on\r\n", "QUIT": "+OK bye\r\n"}
LINES: dict[str, tuple[str, dict[str, str]]] = {
    "smtps": ("220 mail ESMTP\r\n", SMTP),
    "imaps": ("* OK ready\r\n", IMAP),
    "pop3s": ("+OK ready\r\n", POP3),
    "smtp-starttls": ("220 mail ESMTP\r\n", SMTP),
    "imap-starttls": ("* OK ready\r\n", IMAP),
    "pop3-starttls": ("+OK ready\r\n", POP3),
}
TLS = sorted(("https", *LINES))


def talk(kind: str, pem: Path, status: int = 200) -> Talk:
    if kind != "https":
        return (upgraded if "starttls" in kind else tunnelled)(pem, *LINES[kind])
    made = context(pem)

    def page(client: socket.socket) -> None:
        with made.wrap_socket(client, server_side=True) as secured:
            heard = b""
            while not heard.endswith(b"\r\n\r\n"):
                heard += secured.recv(4096)
            assert b"Host: www.example.org\r\n" in heard
            secured.sendall(f"HTTP/1.1 {status} So\r\nContent-Length: 2\r\n\r\nok".encode())
            secured.recv(1)

    return page


def ask(kind: Any, port: int, timeout: float = 5.0, **more: Any) -> Answer:
    more = {"host": "www.example.org", **more}
    watch = Watch(name="it", kind=kind, address=LOOPBACK, port=port, timeout=timeout, **more)
    with KINDS[kind](watch).answered(time.monotonic() + timeout) as answer:
        assert answer.connection is not None
        assert answer.connection.getpeername()[1] == port  # still open, for the socket owner
    return answer


@pytest.mark.parametrize("kind", TLS)
def test_a_self_signed_service_answers_and_its_certificate_is_taken(
    kind: str, tmp_path: Path
) -> None:
    pem = certified(tmp_path, "mail.example.org")
    with serving(talk(kind, pem)) as port:
        assert ask(kind, port).certificate == der(pem)


@pytest.mark.parametrize("kind", TLS)
def test_a_daemon_whose_tls_does_not_work_is_no_answer(kind: str) -> None:
    """Like one that lost its key: it still accepts connections, but its clients get nothing."""

    def broken(client: socket.socket) -> None:
        if "starttls" in kind:
            said(client, *LINES[kind])
        client.recv(4096)
        client.sendall(b"\x15\x03\x01\x00\x02\x02\x28")  # alert: handshake failure

    with serving(broken) as port, pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        ask(kind, port)


@pytest.mark.parametrize("kind", [each for each in TLS if "starttls" in each])
def test_a_daemon_that_does_not_offer_starttls_is_no_answer(kind: str, tmp_path: Path) -> None:
    banner, replies = LINES[kind]
    bare = {
        command: reply.replace("-mail\r\n250 STARTTLS", " mail")
        .replace(" STARTTLS", "")
        .replace("+OK go on", "-ERR unknown")
        for command, reply in replies.items()
    }
    pem = certified(tmp_path, "mail.example.org")
    with serving(upgraded(pem, banner, bare)) as port, pytest.raises(Exception, match=r"TLS|ERR"):
        ask(kind, port)


def test_https_that_is_no_answer(tmp_path: Path) -> None:
    pem = certified(tmp_path, "www.example.org")
    with serving(talk("https", pem, 503)) as port, pytest.raises(Exception, match="HTTP 503"):
        ask("https", port)


@pytest.mark.parametrize("kind", ["https", "imaps", "smtp-starttls"])
def test_the_certificate_of_that_name_is_asked_for(kind: str, tmp_path: Path) -> None:
    """Of two virtual hosts each has its own."""
    other = certified(tmp_path, "other.example.org")
    named = certified(tmp_path, "www.example.org")
    made = context(other)
    heard: list[str | None] = []

    def choose(secured: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        heard.append(name)
        if name == "www.example.org":
            secured.context = context(named)

    made.sni_callback = choose
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.unit.rollout.probe.served.context", lambda _: made)
        patch.setitem(globals(), "context", lambda _: made)
        served = talk(kind, other)
    with serving(served) as port:
        assert ask(kind, port).certificate == der(named)
        if kind != "https":
            assert ask(kind, port, host=None).certificate == der(other)
    assert heard[0] == "www.example.org"
    assert heard[1:] in ([], [None])


def test_an_old_weak_server_is_asked_too(tmp_path: Path) -> None:
    """A key of 1024 bits, signed by SHA-1: today's browsers refuse it, its own clients do not."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:1024", "-sha1", "-nodes"),
            *("-subj", "/CN=old", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.set_ciphers("AES128-SHA:@SECLEVEL=0")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.load_cert_chain(certificate, key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.unit.rollout.probe.served.context", lambda _: old)
        served = tunnelled(certificate, *LINES["imaps"])
    with serving(served) as port:
        certificate_ = ask("imaps", port).certificate
    assert certificate_ is not None
    assert Certificate.of(certificate_).names == ("old",)


def test_what_a_certificate_says(tmp_path: Path) -> None:
    pem = certified(tmp_path, "mail.example.org", "imap.example.org", "192.0.2.7")
    found = Certificate.of(der(pem))
    assert found.names == ("mail.example.org", "imap.example.org", "192.0.2.7")
    assert found.ends == "2031-05-06T07:08:09Z"
    assert found.sha256 == sha256(der(pem)).hexdigest()


def test_a_certificate_with_a_name_that_would_paint_the_terminal(tmp_path: Path) -> None:
    pem = certified(tmp_path, "a\x1b[2Jb")
    assert Certificate.of(der(pem)).names == ("a?[2Jb",)


def test_a_certificate_that_nobody_can_read_is_still_told_from_others() -> None:
    assert Certificate.of(b"nonsense") == Certificate(sha256(b"nonsense").hexdigest(), (), None)


def test_every_kind_of_the_site_file_can_be_asked() -> None:
    assert {*get_args(Probe), "standin"} == set(KINDS)


@pytest.mark.parametrize("kind", TLS)
def test_the_site_file_names_what_is_asked_for(kind: str, tmp_path: Path) -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    port = f'port = 443, probe = "{kind}", name = "www.example.org"'
    path = tmp_path / "site.toml"
    path.write_text(text.replace('port = 80, probe = "http", name = "www.example.org"', port))
    [web] = [each for each in watches(read(path)) if each.name == "web"]
    assert (web.kind, web.port, web.host) == (kind, 443, "www.example.org")


def _wait(results: Path, wanted: Callable[[outage.Timeline], bool]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        mail = outage.read(results).get("mail") if results.exists() else None
        if mail and wanted(mail):
            return
        time.sleep(0.05)
    raise AssertionError(f"not seen in 20 s: {results.read_text(encoding='utf-8')}")


def test_a_change_of_the_certificate_is_noted_once(tmp_path: Path) -> None:
    first = certified(tmp_path, "mail.example.org", "imap.example.org")
    second = certified(tmp_path, "localhost")
    results = tmp_path / "seen.jsonl"
    with ExitStack() as servers:
        port = servers.enter_context(serving(talk("imaps", first)))
        watch = Watch(name="mail", kind="imaps", address=LOOPBACK, port=port, timeout=2.0)
        with Prober([watch], None, results) as prober:
            _wait(results, lambda mail: bool(mail.certificates))
            servers.close()
            changed = time.time()
            _wait(results, lambda mail: bool(mail.gaps))
            servers.enter_context(serving(talk("imaps", second), port))
            _wait(results, lambda mail: len(mail.certificates) > 1 and len(mail.probes) > 10)
            mail = outage.read(prober.stop())["mail"]
    one, other = mail.certificates
    assert (one.certificate, other.certificate) == (
        Certificate.of(der(first)),
        Certificate.of(der(second)),
    )
    assert one.since < changed <= other.since
    assert mail.gaps and len(mail.probes) > 10  # the lines of the probes are read as before
    recent = Recent(results)
    recent.read()
    assert [each.service for each in recent.now(time.time(), 10)] == ["mail"]


WHOLE = {"sha256": "ab", "names": ["a"], "ends": "2031-05-06T07:08:09Z"}


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ({"t": 5.0, "certificate": WHOLE}, True),
        ({"t": 5.0, "certificate": {**WHOLE, "names": [], "ends": None}}, True),
        ({"t": None, "certificate": WHOLE}, False),
        ({"t": 1e300, "certificate": WHOLE}, False),
        ({"t": 5.0, "certificate": {**WHOLE, "names": [1]}}, False),
        ({"t": 5.0, "certificate": {**WHOLE, "names": None}}, False),
        ({"t": 5.0, "certificate": {**WHOLE, "ends": "soon"}}, False),
        ({"t": 5.0, "certificate": {**WHOLE, "ends": 5}}, False),
        ({"t": 5.0, "certificate": []}, False),
    ],
)
def test_a_line_about_a_certificate_is_whole_or_left_out(
    tmp_path: Path, line: dict[str, Any], read: bool
) -> None:
    path = tmp_path / "seen.jsonl"
    lines = [{"t": 0.0, "service": "mail", "rate": 20.0}, {"service": "mail", **line}]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    found = outage.read(path)["mail"]
    if read:
        names, ends = tuple(line["certificate"]["names"]), line["certificate"]["ends"]
        assert found.certificates == (Presented(5.0, Certificate("ab", names, ends)),)
    else:
        assert not found.certificates
    assert not found.probes
