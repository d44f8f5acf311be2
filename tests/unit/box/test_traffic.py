"""Clients of the services, on this machine's own ports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from box import provision, traffic
from box.clients.results import Acknowledged, Gap, Got, Inserted, Sent
from box.clients.results import Verdict as Rows
from box.remote import Answer
from box.run_clients import ClientError
from rollout import site
from rollout.errors import Refused, Stuck
from rollout.host.session import Ssh

SITE = site.read(Path(__file__).parents[3] / "site.example.toml")
ROW = (Acknowledged(mark="r-1", at=1.0),)
MESSAGE = (Acknowledged(mark="m-1", at=1.0),)
RECORDS: dict[str, Any] = {
    "mysql": Inserted(run="r", started=0.0, ended=9.0, acknowledged=ROW, failures=()),
    "web": Got(
        started=0.0,
        ended=9.0,
        answered=7,
        retried=0,
        failures=(),
        longest_gap=Gap(start=1.0, seconds=0.5),
        slowest=0.1,
    ),
    "mail": Sent(run="m", started=0.0, ended=9.0, acknowledged=MESSAGE, failures=()),
}


class Client:
    """A client that has seen RECORDS, if it ever got an answer."""

    def __init__(self, name: str, answered: bool = True) -> None:
        self.name = name
        self.answered = answered

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def wait_ready(self, limit: float) -> None:
        if not self.answered:
            raise ClientError("not one good answer")

    def stop(self) -> Any:
        return RECORDS[self.name]


class Box:
    """A Remote whose mailbox has these messages."""

    sources = ()
    target = Ssh("127.0.0.1")

    def __init__(self, scratch: Path, mailbox: str = "Subject: m-1\n") -> None:
        self.scratch = scratch
        self.mailbox = mailbox

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        return "127.0.0.1", port

    def argv(self, *command: str) -> list[str]:
        return list(command)

    def sh(self, command: str, timeout: float = 1.0) -> Answer:
        return Answer(0, self.mailbox if "/var/mail/alice" in command else "", "")

    def wait_until(self, question: Callable[[], bool], what: str, limit: float) -> None:
        assert question()


def clients(monkeypatch: pytest.MonkeyPatch, *silent: str, rows: Rows | None = None) -> None:
    there: list[Any] = [
        traffic.Users(name, Client(name, name not in silent), 1)  # type: ignore[arg-type]  # stands for one
        for name in RECORDS
    ]
    monkeypatch.setattr(traffic, "users", lambda guest, site: iter(there))
    monkeypatch.setattr(provision, "users", lambda guest, site: iter(there))
    whole = Rows(rows=1, acknowledged=1, lost=(), doubled=(), unacknowledged=())
    monkeypatch.setattr("box.run_clients.verify", lambda guest, client, port: rows or whole)


def test_every_service_of_the_sample_has_clients(tmp_path: Path) -> None:
    found = {each.name: each.port for each in traffic.users(Box(tmp_path), SITE)}
    assert found == {"bind": 53, "mysql": 3306, "web": 80, "mail": 25}


def test_what_they_saw_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients(monkeypatch)
    said: list[str] = []
    with traffic.traffic(Box(tmp_path), SITE, said.append):
        assert said == ["clients are running: mysql, web, mail"]
    assert said[1:] == [
        "mysql: 1 rows acknowledged, 0 lost, 0 doubled, longest gap 8.00 s",
        "web: 7 GETs, 0 failed, longest gap 0.50 s",
        "mail: 1 messages acknowledged, 0 lost, 0 doubled, longest gap 8.00 s",
    ]


def test_a_lost_row_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Rows(rows=0, acknowledged=1, lost=("r-1",), doubled=(), unacknowledged=())
    clients(monkeypatch, rows=lost)
    with (
        pytest.raises(Stuck, match="acknowledged is lost or doubled") as caught,
        traffic.traffic(Box(tmp_path), SITE, lambda text: None),
    ):
        pass
    assert "r-1" in caught.value.evidence


def test_a_lost_message_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients(monkeypatch)
    with (
        pytest.raises(Stuck) as caught,
        traffic.traffic(Box(tmp_path, mailbox=""), SITE, lambda text: None),
    ):
        pass
    assert caught.value.evidence == "mail: lost ('m-1',), doubled ()"


def test_a_box_that_does_not_serve_them_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients(monkeypatch, "web")
    with (
        pytest.raises(Refused, match="web does not answer its clients"),
        traffic.traffic(Box(tmp_path), SITE, lambda text: None),
    ):
        raise AssertionError("nobody is there")


def test_what_answers_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients(monkeypatch)
    monkeypatch.setattr(provision, "_deploy", lambda *_: pytest.fail("it was touched"))
    said: list[str] = []
    provision.provision(Box(tmp_path), SITE, said.append)
    assert said == ["every service of the site answers its clients on the box"]


def test_what_cannot_be_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients(monkeypatch, "mysql", "mail")
    asked: list[list[str]] = []
    monkeypatch.setattr(provision, "_deploy", lambda guest, site, missing: asked.append(missing))
    with pytest.raises(Refused, match="do not answer: mysql, mail"):
        provision.provision(Box(tmp_path), SITE, lambda text: None)
    assert asked == [["mysql", "mail"]]


@pytest.mark.slow
def test_pyinfra_that_cannot_get_in_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients(monkeypatch, "web")
    with pytest.raises(Refused, match="could not be made into the base host") as caught:
        provision.provision(Box(tmp_path), SITE, lambda text: None)
    assert "127.0.0.1" in caught.value.evidence
