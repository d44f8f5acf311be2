"""A run on the small host, watched by the real prober: its report says what was done and seen."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer
from threading import Thread
from typing import Any

import pytest

from rollout.engine.runner import Runner
from rollout.errors import Refused, RolledBack
from rollout.probe.watch import Watch
from rollout.report import evidence
from rollout.report.record import Record
from tests.unit.rollout.lab import Lab
from tests.unit.rollout.small_host import SmallHost, small_host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHost]:
    """Under one sh: nothing here depends on which."""
    for host in small_host(tmp_path / "h", "dash", monkeypatch):
        monkeypatch.setattr(evidence, "JOURNAL", str(host.journal))
        yield host


class Server(TCPServer):
    allow_reuse_address = True
    request_queue_size = 128


@contextmanager
def answering(port: int = 0) -> Iterator[int]:
    """A port that accepts every connection."""
    with Server(("127.0.0.1", port), BaseRequestHandler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def report(where: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((where / "report.json").read_text(encoding="utf-8"))
    assert (where / "report.html").exists()
    return found


def watch(port: int) -> Watch:
    return Watch(name="web", kind="tcp", address=IPv4Address("127.0.0.1"), port=port, rate=50.0)


def kept(runner: Runner, where: Path) -> Record:
    return Record(runner.plan, "apply", "small host", where, lambda text: None)


def test_what_was_seen_stands_beside_what_was_done(lab: Lab, tmp_path: Path) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b")))
    with ExitStack() as server, kept(runner, tmp_path) as record:
        port = server.enter_context(answering())
        with record.act("apply", runner, [watch(port)], None):
            runner.apply("one")
            time.sleep(0.5)  # the last answer must come after the step, on a busy machine, too
            server.close()
            time.sleep(0.3)
            server.enter_context(answering(port))
            time.sleep(0.3)
            runner.apply()
    [act] = report(tmp_path)["acts"]
    assert [(each["step"], each["outcome"]) for each in act["steps"]] == [
        ("one", "confirmed"),
        ("two", "confirmed"),
    ]
    assert act["after"]["confirmed"] == ["one", "two"]
    [web] = [each for each in act["services"] if each["service"] == "web"]
    [gap] = web["gaps"]
    assert gap["steps"] == []
    assert gap["seconds"] >= 0.3
    assert act["steps"][0]["ended"] <= gap["end"] <= act["steps"][1]["ended"]
    assert gap["error"].startswith(("ConnectionRefused", "ConnectionReset"))  # one may be under way


def test_a_run_that_failed_half_way_leaves_its_report_too(lab: Lab, tmp_path: Path) -> None:
    broken = lab.makes("b", then="echo no luck >&2; exit 5")
    runner = lab.runner(lab.step("one", lab.makes("a")), lab.step("two", broken))
    with (
        answering() as port,
        pytest.raises(RolledBack),
        kept(runner, tmp_path) as record,
        record.act("apply", runner, [watch(port)], None),
    ):
        runner.apply()
    data = report(tmp_path)
    assert (data["end"]["code"], data["end"]["word"]) == (2, "rolled back")
    [act] = data["acts"]
    assert act["outcomes"] == {"confirmed": 1, "rolledback": 1}
    assert "no luck" in act["steps"][1]["log"]
    assert act["after"]["confirmed"] == ["one"]


def test_services_that_do_not_answer_are_not_watched(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollout.probe.watching._ANSWER_WITHIN", 0.5)
    runner = lab.runner(lab.step("one", lab.makes("a")))
    with answering() as port:
        pass
    with (
        pytest.raises(Refused, match="do not answer"),
        kept(runner, tmp_path) as record,
        record.act("apply", runner, [watch(port)], None),
    ):
        raise AssertionError("it was run unwatched")
    data = report(tmp_path)
    assert data["end"]["word"] == "refused"
    [act] = data["acts"]
    assert act["steps"] == []
    services = {each["service"]: each for each in act["services"]}
    assert {each["state"] for each in services["web"]["line"]} == {"not answered", "not watched"}
    assert (services["mysql"]["verdict"], services["mysql"]["outage"]) == ("not watched", None)
    assert {each["state"] for each in services["mysql"]["line"]} == {"not watched"}
