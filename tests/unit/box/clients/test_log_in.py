"""The client that logs in over IMAP, against small servers of this machine."""

import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest

from box.clients import log_in as clients
from box.clients.log_in import log_in
from box.clients.results import LoggedIn
from box.clients.stopping import Stop


class Server(socketserver.ThreadingTCPServer):
    """Knows alice. It has `messages`, one per login, then the last; it refuses command `no`."""

    def __init__(self, messages: list[int], no: str = "") -> None:
        self.messages = messages
        self.no = no
        self.ended = 0
        super().__init__(("127.0.0.1", 0), Conversation)


class Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        self.say("* OK here")
        for line in self.rfile:
            tag, word, *rest = line.decode().strip().split()
            if word == server.no:
                self.say(f"{tag} NO not now")
            elif word == "LOGIN" and rest != ["alice", '"secret"']:
                self.say(f"{tag} NO who is that?")
            elif word == "SELECT":
                number, *more = server.messages
                server.messages = more or [number]
                self.say(f"* {number} EXISTS\r\n{tag} OK [READ-WRITE] there")
            elif word == "LOGOUT":
                server.ended += 1
                self.say(f"* BYE\r\n{tag} OK gone")
                return
            else:
                self.say(f"* CAPABILITY IMAP4rev1\r\n{tag} OK yes")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def begin(messages: list[int], no: str = "") -> Server:
        server = Server(messages, no)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        made.append(server)
        return server

    yield begin
    for server in made:
        server.shutdown()
        server.server_close()


def client(server: Server, word: str = "secret") -> LoggedIn:
    port = server.server_address[1]
    return log_in("127.0.0.1", port, "alice", word, Stop(0.5), rate=10)


def test_each_login_that_came_to_its_end_is_noted(serve: Callable[..., Server]) -> None:
    server = serve([2, 3])
    seen = client(server)
    assert seen.answered == server.ended >= 2
    assert (seen.messages, seen.failures) == (3, ())
    assert seen.slowest < seen.ended - seen.started


@pytest.mark.parametrize("word", ["LOGIN", "SELECT"])
def test_a_login_that_is_refused_is_a_failure(serve: Callable[..., Server], word: str) -> None:
    seen = client(serve([1], no=word))
    assert seen.answered == 0
    assert "not now" in seen.failures[0].error


def test_a_wrong_password_is_told(serve: Callable[..., Server]) -> None:
    assert "who is that?" in client(serve([1]), word="else").failures[0].error


def test_a_mailbox_with_fewer_messages_is_a_failure(serve: Callable[..., Server]) -> None:
    seen = client(serve([5, 4, 5]))
    assert [failure.error for failure in seen.failures] == ["error: 4 messages, 5 before"]
    assert seen.messages == 5


def test_nobody_there_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "ANSWER_LIMIT", 0.2)
    seen = log_in("127.0.0.1", 1, "alice", "secret", Stop(0.3), rate=10)
    assert not seen.answered
    assert seen.failures[0].error.startswith("ConnectionRefusedError")
