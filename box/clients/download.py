"""One slow download over one connection, to prove that connections survive a rollout."""

import hashlib
import http.client
import socket
import time
from collections.abc import Callable

from box.clients.get import Page
from box.clients.results import Downloaded
from box.clients.stopping import Pace, Stop

PIECE = 16 * 1024
# a small window keeps the rest of the file on the server, so that the connection stays in use; the
# file must be larger than the buffer of the server's kernel (2 MiB on FreeBSD)
WINDOW = 32 * 1024
ANSWER_LIMIT = 30.0  # seconds without a byte


def download(
    page: Page,
    stop: Stop,
    bytes_per_second: float,
    first: Callable[[], None] = lambda: None,
) -> Downloaded:
    """Read slowly until it is stopped, then read the rest at full speed."""
    pace = Pace(bytes_per_second / PIECE)
    digest = hashlib.sha256()
    expected = received = slowly = 0
    longest = 0.0
    error = None
    started = time.monotonic()
    connection = page.connect(ANSWER_LIMIT)
    try:
        connection.sock = _narrow_socket(page)
        connection.request("GET", page.path, headers={"Connection": "close"})
        answer = connection.getresponse()
        expected = answer.length or 0
        if answer.status != 200 or not expected:
            error = f"status {answer.status}, {expected} bytes announced"
        while error is None and received < expected:
            slow = pace.take_turn(stop)
            asked = time.monotonic()
            piece = answer.read(PIECE)
            longest = max(longest, time.monotonic() - asked)
            if not piece:
                error = f"the connection ended after {received} of {expected} bytes"
            digest.update(piece)
            received += len(piece)
            slowly += len(piece) if slow else 0
            if received == len(piece):
                first()
    except (OSError, http.client.HTTPException) as failure:
        error = f"{type(failure).__name__}: {failure}"
    finally:
        connection.close()
    return Downloaded(
        started=started,
        ended=time.monotonic(),
        expected=expected,
        received=received,
        received_slowly=slowly,
        sha256=digest.hexdigest(),
        longest_pause=longest,
        error=error,
    )


def _narrow_socket(page: Page) -> socket.socket:
    narrow = socket.socket()
    narrow.settimeout(ANSWER_LIMIT)
    # before connect: the window is announced in the handshake (tcp(7), SO_RCVBUF)
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
    if page.source:
        narrow.bind((page.source, 0))
    narrow.connect((page.host, page.port))
    return narrow
