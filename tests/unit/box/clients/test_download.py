import hashlib
import threading

from box.clients.download import download
from box.clients.get import Page
from box.clients.stopping import Stop
from tests.unit.box.conftest import FILE


def page(port: int, path: str) -> Page:
    return Page("127.0.0.1", path, port)


def test_slow_until_stopped_then_the_rest(port: int) -> None:
    stop = Stop(10)
    timer = threading.Timer(0.2, stop.ask)
    timer.start()
    downloaded = download(page(port, "/file"), stop, 128 * 1024)
    timer.join()
    assert downloaded.is_whole
    assert downloaded.sha256 == hashlib.sha256(FILE).hexdigest()
    assert 0 < downloaded.received_slowly < len(FILE) / 2


def test_a_connection_that_is_cut_is_an_error(port: int) -> None:
    downloaded = download(page(port, "/cut-file"), Stop(0), 1024 * 1024)
    assert not downloaded.is_whole
    assert downloaded.received == len(FILE) - 5


def test_a_refusal_is_an_error(port: int) -> None:
    downloaded = download(page(port, "/busy"), Stop(0), 1024 * 1024)
    assert downloaded.error == "status 503, 9 bytes announced"


def test_the_first_piece_is_told_once(port: int) -> None:
    told: list[bool] = []
    download(page(port, "/file"), Stop(0), 1024 * 1024, lambda: told.append(True))
    assert told == [True]
