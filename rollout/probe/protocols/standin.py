"""A probe of the stand-in, which has no network."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rollout.probe.watch import Answer, Watch, left


class Standin:
    """Asks who would answer a client. It keeps one connection to the control socket."""

    def __init__(self, watch: Watch) -> None:
        self._control = str(watch.control)
        self._has_certificate = watch.has_certificate
        self._client = {
            "address": str(watch.address),
            "port": watch.port,
            "proto": watch.proto,
            "source": watch.source,
        }
        self._turn = Lock()
        self._connection: socket.socket | None = None

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        if not self._turn.acquire(timeout=left(deadline)):
            raise TimeoutError("timed out")
        pem = None
        try:
            reply = self._ask("who_answers", deadline)
            if self._has_certificate and reply.get("answer") is not None:
                pem = self._ask("certificate", deadline).get("answer")
        except BaseException:
            # a late answer would be taken for the answer to the next question
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            raise
        finally:
            self._turn.release()
        if reply.get("answer") is None:
            raise LookupError(str(reply.get("error", "no answer")))
        certificate = ssl.PEM_cert_to_DER_cert(str(pem)) if pem else None
        yield Answer(who=str(reply["answer"]), certificate=certificate)

    def _ask(self, question: str, deadline: float) -> dict[str, object]:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(left(deadline))
            self._connection.connect(self._control)
        self._connection.settimeout(left(deadline))
        text = json.dumps({"ask": question, **self._client})
        self._connection.sendall(text.encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            self._connection.settimeout(left(deadline))
            part = self._connection.recv(4096)
            if not part:
                raise ConnectionError("the stand-in closed its control socket")
            line += part
        reply: dict[str, object] = json.loads(line)
        return reply
