"""The client that sends mail, against small servers of this machine."""

import socketserver
import threading
from collections.abc import Iterator

import pytest

from box.clients import send as clients
from box.clients.results import Acknowledged, Sent
from box.clients.send import judge, send
from box.clients.stopping import Stop


class Server(socketserver.ThreadingTCPServer):
    """Accepts every message, or refuses it with `no` at its end."""

    def __init__(self, no: str = "") -> None:
        self.no = no
        self.taken: list[str] = []
        super().__init__(("127.0.0.1", 0), Conversation)


class Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        self.say("220 here")
        for line in self.rfile:
            word = line.decode().strip().lower()
            if word == "data":
                self.say("354 go on")
                text = b"".join(iter(self.rfile.readline, b".\r\n")).decode()
                if not server.no:
                    server.taken.append(text)
                self.say(server.no or "250 taken")
            else:
                self.say("221 bye" if word == "quit" else "250 yes")
                if word == "quit":
                    return

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture(params=["", "451 not now"], ids=["takes", "refuses"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(request.param) as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        made.shutdown()


def test_what_the_server_took_is_noted_and_nothing_else(server: Server) -> None:
    port = server.server_address[1]
    sent = send("127.0.0.1", port, "alice@example.org", Stop(0.5), rate=10)
    assert bool(sent.acknowledged) != bool(server.no)
    assert bool(sent.failures) == bool(server.no)
    verdict = judge(sent, "".join(server.taken))
    assert verdict.is_whole != bool(server.no)
    assert verdict.acknowledged == verdict.rows == len(server.taken)


def test_nobody_there_is_a_failure_and_the_next_message_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "ANSWER_LIMIT", 0.2)
    sent = send("127.0.0.1", 1, "alice@example.org", Stop(0.3), rate=10)
    assert not sent.acknowledged
    assert [failure.error.split(":")[0] for failure in sent.failures][:2] == [
        f"{sent.run}-1",
        f"{sent.run}-2",
    ]


def test_lost_doubled_and_unpromised_messages_are_told_apart() -> None:
    promised = tuple(Acknowledged(mark=f"run-{n}", at=float(n)) for n in (1, 2, 3))
    sent = Sent(run="run", started=0.0, ended=9.0, acknowledged=promised, failures=())
    there = ("run-1", "run-2", "run-2", "run-4", "other-3")
    verdict = judge(sent, "".join(f"From x\nSubject: {mark}\n\n{mark}\n\n" for mark in there))
    assert (verdict.lost, verdict.doubled) == (("run-3",), ("run-2",))
    assert verdict.unacknowledged == ("run-4",)
    assert not verdict.is_whole
