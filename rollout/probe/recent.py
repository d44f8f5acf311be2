"""The answers of the last seconds: reads the prober's file as it grows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rollout.probe.outage import Gap, Probed, Timeline, probed, whole

SPAN = 30.0  # seconds that are shown

Mark = Literal["host", "jail", "unknown", "silent", "unasked"]
"""The state in a short stretch of time: answered (and by whom), not answered, or not asked."""


@dataclass(frozen=True)
class Now:
    """One service. `marks` are equal stretches of time, the oldest first. `gap` is the outage that
    still lasts, or else the longest one.
    """

    service: str
    marks: tuple[Mark, ...]
    who: str | None
    gap: Gap | None


class Recent:
    """The answers of the last seconds by service, in the order of the prober's configuration."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self._part = b""
        self._probes: dict[str, deque[Probed]] = {}
        self._rates: dict[str, float] = {}

    def read(self) -> None:
        """Read what was written since the last call. An incomplete line is kept for the next."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except OSError:
            return
        self._read += len(text)
        *lines, self._part = (self._part + text).split(b"\n")
        for each in lines:
            self._take(each)

    def _take(self, text: bytes) -> None:
        line = whole(text)
        if line is None:
            return
        service = line["service"]
        if "rate" in line:
            self._rates[service] = line["rate"]
            self._probes[service] = deque()
        elif service in self._probes and "certificate" not in line:
            self._probes[service].append(probed(line))

    def now(self, at: float, count: int) -> list[Now]:
        """The state of each service at a time (seconds since the epoch), in `count` intervals."""
        return [self._one(service, at, count) for service in self._probes]

    def _one(self, service: str, at: float, count: int) -> Now:
        probes = self._probes[service]
        while probes and probes[0].end < at - SPAN:
            probes.popleft()
        sent = sorted(probes, key=lambda probe: probe.start)
        marks: list[Mark] = ["unasked"] * count
        who = None
        for probe in sent:
            who = probe.who or who
            cell = int((probe.start - (at - SPAN)) / SPAN * count)
            if 0 <= cell < count and marks[cell] != "silent":
                marks[cell] = _mark(probe, who)
        timeline = Timeline(service, self._rates[service], (tuple(sent),))
        open_ = [gap for gap in timeline.gaps if not gap.closed]
        return Now(service, tuple(marks), who, open_[0] if open_ else timeline.longest_gap)


def _mark(probe: Probed, who: str | None) -> Mark:
    if not probe.ok:
        return "silent"
    if who is None:
        return "unknown"
    return "host" if who == "host" else "jail"
