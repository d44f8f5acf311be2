"""What a host's ports answer to this machine, recorded for a survey, and answered from one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from rollout.host.replay import AGAIN
from rollout.host.survey import Presented, Recording, Unanswered
from rollout.probe.certificates import Certificates
from rollout.probe.tls import Certificate
from rollout.probe.transfer import Sink, Transfer
from rollout.probe.watch import Watch
from rollout.probe.watches import labels
from rollout.site import Listen, Site


class Outside(Protocol):
    """What is recorded (rollout.engine.checks.Outside)."""

    @property
    def certificates(self) -> Certificates: ...

    def who(self, address: str, port: int, proto: str) -> str | None: ...

    def sink(self) -> Sink: ...

    def read(self, address: str, port: int, limit: float) -> Transfer: ...


class RecordedOutside:
    """Asks as `outside` does, and keeps the answers. `seen_at` tells where clients find an address
    of the host that a router translates.
    """

    def __init__(self, outside: Outside, seen_at: Mapping[str, str] = MappingProxyType({})) -> None:
        self._outside = outside
        self._seen_at = seen_at
        self.certificates = Certificates(self._presented)
        self.asked: dict[str, str | None] = {}
        self.presented: dict[str, Presented | None] = {}

    def who(self, address: str, port: int, proto: str) -> str | None:
        place = _place(address, port, proto)
        self.asked[place] = None
        there = self._seen_at.get(address, address)
        self.asked[place] = self._outside.who(there, port, proto)
        return self.asked[place]

    def sink(self) -> Sink:
        return self._outside.sink()

    def read(self, address: str, port: int, limit: float) -> Transfer:
        return self._outside.read(address, port, limit)

    def _presented(self, watch: Watch) -> Certificate:
        place = _place(str(watch.address), watch.port, "tcp")
        self.presented[place] = None
        found = self._outside.certificates.ask(watch)
        self.presented[place] = Presented(sha256=found.sha256, names=found.names, ends=found.ends)
        return found


class OfSurvey:
    """An outside that a survey has seen. What it has not asked is Unanswered."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.certificates: Certificates = _Certificates(recording)

    def who(self, address: str, port: int, proto: str) -> str | None:
        place = _place(address, port, proto)
        if place not in self._recording.who:
            raise _unanswered(self._recording, f"who answers at {place}")
        return self._recording.who[place]

    def sink(self) -> Sink:
        raise _unanswered(self._recording, "whether the host can send to this machine")

    def read(self, address: str, port: int, limit: float) -> Transfer:
        raise _unanswered(self._recording, f"what a client reads from {address}, port {port}")


class _Certificates(Certificates):
    """Those of a survey: of one moment, so that nothing can have changed since."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording

    def changed(self, site: Site, service: str, listen: Listen) -> str | None:
        watch = self._watches.get(labels(site)[service, listen.port, listen.proto])
        if watch is None:
            return None
        place = _place(str(watch.address), watch.port, "tcp")
        if place not in self._recording.certificates:
            raise _unanswered(self._recording, f"the certificate that {place} presents")
        found = self._recording.certificates[place]
        return "" if found else "presents no certificate (in the survey)"


def _place(address: str, port: int, proto: str) -> str:
    return f"{address}:{port}/{proto}"


def _unanswered(recording: Recording, what: str) -> Unanswered:
    return Unanswered(
        f"the survey of {recording.host} does not have {what}",
        todo=AGAIN,
    )
