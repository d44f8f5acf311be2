import socket

import pytest

from box.clients.get import Page, get
from box.clients.stopping import Stop


def page(port: int, path: str = "/index.html", expected: str = "") -> Page:
    return Page("127.0.0.1", path, port, expected)


@pytest.mark.parametrize("keep_alive", [False, True])
def test_good_answers_are_counted(port: int, keep_alive: bool) -> None:
    got = get(page(port), Stop(0.2), rate=50, threads=2, keep_alive=keep_alive)
    assert got.answered >= 8
    assert not got.failures
    assert got.requests == got.answered
    assert got.retried == 0
    assert 0 < got.slowest < 1
    assert got.longest_gap.seconds < 0.2


@pytest.mark.parametrize(
    ("path", "expected", "error"),
    [
        ("/busy", "", "UnexpectedPageError: status 503"),
        ("/cut", "", "IncompleteRead"),
        ("/index.html", "Hello", "'Hello' is not in b'It works!'"),
    ],
)
def test_a_bad_answer_is_a_failure(port: int, path: str, expected: str, error: str) -> None:
    got = get(page(port, path, expected), Stop(0.1), rate=50, threads=1)
    assert (got.answered, got.requests) == (0, len(got.failures))
    assert got.failures
    assert error in got.failures[0].error
    assert got.longest_gap.seconds == pytest.approx(got.ended - got.started)


def test_refused_is_a_failure() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        got = get(page(closed.getsockname()[1]), Stop(0.1), rate=50, threads=1)
    assert "ConnectionRefusedError" in got.failures[0].error


def test_a_kept_connection_that_was_closed_is_asked_again_on_a_new_one(port: int) -> None:
    got = get(page(port, "/idle"), Stop(0.2), rate=20, threads=1, keep_alive=True)
    assert not got.failures
    assert got.retried >= 1


def test_a_new_connection_that_is_closed_unanswered_is_a_failure(port: int) -> None:
    got = get(page(port, "/every-other"), Stop(0.3), rate=20, threads=1, keep_alive=True)
    assert got.answered
    assert got.retried == 0
    assert "RemoteDisconnected" in got.failures[0].error


def test_the_first_answer_of_all_threads_is_told_once(port: int) -> None:
    told: list[bool] = []
    get(page(port), Stop(0.1), rate=50, threads=4, first=lambda: told.append(True))
    assert told == [True]
