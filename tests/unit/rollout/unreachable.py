"""What a test gives for the outside when no transfer is asked of it."""

from __future__ import annotations

from rollout.transfer import Sink, Transfer


class Unreachable:
    def sink(self) -> Sink:
        raise NotImplementedError

    def read(self, address: str, port: int, limit: float) -> Transfer:
        raise NotImplementedError
