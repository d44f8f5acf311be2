"""The monitor against a tiny fake qemu."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from box.qemu.qmp import Monitor, MonitorError

Answer = list[dict[str, object]]

HELLO: Answer = [{"return": {}}]
EVENT = {"event": "RTC_CHANGE", "data": {"offset": 0}}


class FakeQemu(threading.Thread):
    """Greets, replies to the handshake, then gives the next reply to each command."""

    def __init__(self, path: Path, answers: list[Answer]) -> None:
        super().__init__(daemon=True)
        self.asked: list[dict[str, object]] = []
        self._answers = iter([HELLO, *answers])
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def run(self) -> None:
        connection, _ = self._listener.accept()
        with connection, self._listener, connection.makefile("rw") as lines:
            print(json.dumps({"QMP": {}}), file=lines, flush=True)
            for line in lines:
                self.asked.append(json.loads(line))
                answer = next(self._answers, None)
                if answer is None:
                    return
                for part in answer:
                    print(json.dumps(part), file=lines, flush=True)


@pytest.fixture
def answers() -> list[Answer]:
    return []


@pytest.fixture
def monitor(tmp_path: Path, answers: list[Answer]) -> Iterator[Monitor]:
    FakeQemu(tmp_path / "monitor", answers).start()
    connected = Monitor(tmp_path / "monitor", 5.0, lambda: True)
    yield connected
    connected.close()


@pytest.mark.parametrize("answers", [[[EVENT, EVENT, {"return": {"running": True}}]]])
def test_events_are_no_answers(monitor: Monitor) -> None:
    assert monitor.execute("query-status") == {"running": True}


@pytest.mark.parametrize("answers", [[[{"error": {"class": "x", "desc": "no such device"}}]]])
def test_an_error_is_raised_with_its_command(monitor: Monitor) -> None:
    with pytest.raises(MonitorError, match="set_link: no such device"):
        monitor.execute("set_link", name="nic9", up=True)


@pytest.mark.parametrize("answers", [[[{"return": "Error: No such snapshot\r\n"}]]])
def test_what_the_human_monitor_says_is_an_error(monitor: Monitor) -> None:
    with pytest.raises(MonitorError, match="loadvm x: Error: No such snapshot"):
        monitor.human("loadvm x")


@pytest.mark.parametrize("answers", [[[{"return": ""}]]])
def test_silence_of_the_human_monitor_is_success(monitor: Monitor) -> None:
    monitor.human("savevm x")


def test_a_qemu_that_is_gone_is_named(monitor: Monitor) -> None:
    with pytest.raises(MonitorError, match="closed its monitor"):
        monitor.execute("query-status")


def test_no_qemu_at_all(tmp_path: Path) -> None:
    with pytest.raises(MonitorError, match="no monitor at"):
        Monitor(tmp_path / "monitor", 0.05, lambda: True)


def test_a_qemu_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(MonitorError, match="no monitor at"):
        Monitor(tmp_path / "monitor", 60.0, lambda: False)
