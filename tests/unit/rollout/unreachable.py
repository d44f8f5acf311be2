"""What a test gives for the outside, or for the host, when it must not be asked."""

from __future__ import annotations

import subprocess

from rollout.probe.outside import Certificates
from rollout.probe.transfer import Sink, Transfer
from rollout.rehearsal.box import Box


class Unreachable:
    """No transfer and no certificate is asked of it."""

    def __init__(self) -> None:
        self.certificates = Certificates()

    def sink(self) -> Sink:
        raise NotImplementedError

    def read(self, address: str, port: int, limit: float) -> Transfer:
        raise NotImplementedError


class Nowhere(Unreachable):
    """A target, and somebody outside, that must not be asked."""

    name = "nowhere"

    def shell(self) -> subprocess.Popen[bytes]:
        raise AssertionError("a connection was opened")

    def who(self, address: str, port: int, proto: str) -> str | None:
        raise AssertionError("somebody was asked")


def nowhere() -> Box:
    """A box that must not be asked, nor broken."""

    def never() -> None:
        raise AssertionError("the box was touched")

    return Box("nowhere", Nowhere(), Nowhere(), (), None, never, never, never)
