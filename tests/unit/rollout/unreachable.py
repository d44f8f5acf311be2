"""Stand for the outside, or for the host, where a test must not contact them."""

from __future__ import annotations

import subprocess

from rollout.probe.certificates import Certificates
from rollout.probe.transfer import Sink, Transfer
from rollout.rehearsal.box import Box


class Unreachable:
    """No transfer and no certificate may be requested."""

    def __init__(self) -> None:
        self.certificates = Certificates()

    def sink(self) -> Sink:
        raise NotImplementedError

    def read(self, address: str, port: int, limit: float) -> Transfer:
        raise NotImplementedError


class Nowhere(Unreachable):
    """A target and an outside that must not be contacted."""

    name = "nowhere"

    def shell(self) -> subprocess.Popen[bytes]:
        raise AssertionError("a connection was opened")

    def who(self, address: str, port: int, proto: str) -> str | None:
        raise AssertionError("the test contacted a host")


def nowhere() -> Box:
    """A box that must not be contacted, nor broken."""

    def never() -> None:
        raise AssertionError("the box was touched")

    return Box("nowhere", Nowhere(), Nowhere(), (), None, never, never, never)
