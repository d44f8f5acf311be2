"""Reads the prober's results: who answered when, and when there was no answer.

All times are in seconds since the epoch, as from time.time(), so a step that notes its own begin
and end can ask for the outage in between.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal

from rollout.probe.tls import Presented, presented

_LATEST = 1e12  # seconds since the epoch
BLIND = 10  # when so many probes in a row were not sent, an outage may have been missed

Verdict = Literal["no outage", "outage", "thin", "not watched"]
"""What is known of a service in some time: it answered every probe of a full watch; it had an
outage; too few probes were sent to tell; no probe was sent.
"""


@dataclass(frozen=True)
class Probed:
    """One line of the prober. `held`: the connection was kept open to ask for its owner, in
    addition to the plain probes at their rate.
    """

    start: float
    end: float
    error: str | None
    who: str | None
    held: bool

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True)
class Interval:
    """`who`: "host", a jail's name, or None for unknown. Between two answers with the same owner,
    that owner is taken to hold the port.
    """

    start: float
    end: float
    answered: bool
    who: str | None


@dataclass(frozen=True)
class Gap:
    """An outage as a client sees it: from the end of the last good answer to the end of the next
    good one.

    So it is never shorter than the daemon was down, and longer by at most the distance of two
    probes at each end. Probes are taken in the order in which they were sent. Without a good answer
    before it, it begins with the first failed probe's start; without one after it (`closed` is
    False), it ends with the last failed probe's end.
    """

    start: float
    end: float
    failed: int
    error: str
    closed: bool

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Owner:
    who: str
    first: float
    last: float


@dataclass(frozen=True)
class Window:
    """One service from `start` to `end`. `blind`: the longest time in which no probe was sent."""

    start: float
    end: float
    probes: int
    outage: float
    gaps: tuple[Gap, ...]
    owners: tuple[Owner, ...]
    slowest: float
    blind: float
    rate: float

    @property
    def verdict(self) -> Verdict:
        """ "no outage" needs at least half of the promised probes, and no long time without one."""
        if self.gaps:
            return "outage"
        if self.probes == 0:
            return "not watched"
        if self.probes < self.rate * (self.end - self.start) / 2 or self.blind > BLIND / self.rate:
            return "thin"
        return "no outage"

    @property
    def seconds(self) -> float | None:
        """The time without an answer; None where too little was watched to know it."""
        return self.outage if self.verdict in ("outage", "no outage") else None

    def __str__(self) -> str:
        if self.verdict != "outage":
            return f"{self.verdict} ({self.probes} probes, at most {self.blind:.2f} s apart)"
        longest = max(gap.seconds for gap in self.gaps)
        return f"outage {self.outage:.2f} s ({len(self.gaps)} gaps, longest {longest:.2f} s)"


@dataclass(frozen=True)
class Timeline:
    """One service. A run is the probes of one prober; gaps and intervals never span two runs, since
    nothing was probed in between. `certificates` are those that the service presented.
    """

    service: str
    rate: float
    runs: tuple[tuple[Probed, ...], ...]
    certificates: tuple[Presented, ...] = ()

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        return tuple(gap for run in self.runs for gap in _gaps(run))

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        return tuple(interval for run in self.runs for interval in _intervals(run))

    @cached_property
    def probes(self) -> tuple[Probed, ...]:
        return tuple(probe for run in self.runs for probe in run)

    @property
    def longest_gap(self) -> Gap | None:
        return max(self.gaps, key=lambda gap: gap.seconds, default=None)

    @property
    def owners(self) -> tuple[Owner, ...]:
        return _owners(self.probes)

    @property
    def rate_reached(self) -> float:
        """Plain probes sent per second, over all runs."""
        runs = [[probe.start for probe in run if not probe.held] for run in self.runs]
        seconds = sum(run[-1] - run[0] for run in runs if run)
        return sum(len(run) - 1 for run in runs if run) / seconds if seconds else 0.0

    def window(self, start: float, end: float) -> Window:
        probes = [probe for probe in self.probes if start <= probe.start <= end]
        gaps = tuple(gap for gap in self.gaps if gap.start < end and gap.end > start)
        sent = [start, *(probe.start for probe in probes), end]
        return Window(
            start=start,
            end=end,
            probes=len(probes),
            outage=sum(min(gap.end, end) - max(gap.start, start) for gap in gaps),
            gaps=gaps,
            owners=_owners(probes),
            slowest=max((probe.end - probe.start for probe in probes if probe.ok), default=0.0),
            blind=max(later - earlier for earlier, later in pairwise(sent)),
            rate=self.rate,
        )


def not_watched(service: str) -> Timeline:
    """The timeline of a service that has no probes. Its verdict for any time is "not watched"."""
    return Timeline(service, 0.0, ())


def read(path: Path) -> dict[str, Timeline]:
    """The timelines by service. Incomplete lines (a killed prober, a full disk) are left out."""
    runs: defaultdict[str, list[list[Probed]]] = defaultdict(list)
    rates: dict[str, float] = {}
    certificates: defaultdict[str, list[Presented]] = defaultdict(list)
    for line in _lines(path):
        service = line["service"]
        if "rate" in line:  # a new prober begins here
            rates[service] = line["rate"]
            runs[service].append([])
        elif (found := presented(line)) is not None:
            certificates[service].append(found)
        elif service in rates:
            runs[service][-1].append(probed(line))
    return {
        service: Timeline(
            service,
            rate,
            tuple(_in_order(run) for run in runs[service]),
            tuple(sorted(certificates[service], key=lambda each: each.since)),
        )
        for service, rate in rates.items()
    }


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(errors="replace") as file:
        for text in file:
            if (line := whole(text)) is not None:
                yield line


def whole(text: str | bytes) -> dict[str, Any] | None:
    """The values of a line of the prober; None for an incomplete line."""
    with suppress(ValueError, RecursionError):
        if _is_whole(line := json.loads(text)):
            found: dict[str, Any] = line
            return found
    return None


def _is_whole(line: Any) -> bool:
    if not isinstance(line, dict) or not isinstance(line.get("service"), str):
        return False
    if "rate" in line:
        return _is_number(line["rate"]) and line["rate"] > 0
    if "certificate" in line:
        return _is_number(line.get("t")) and presented(line) is not None
    texts = [line.get(key, 0) for key in ("error", "who")]
    return (
        all(_is_number(line.get(key)) for key in ("t", "ms"))
        and all(each is None or isinstance(each, str) for each in texts)
        and isinstance(line.get("held"), bool)
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _LATEST


def probed(line: Mapping[str, Any]) -> Probed:
    """The probe that a line of the prober describes."""
    end = line["t"] + line["ms"] / 1000
    return Probed(line["t"], end, line["error"], line["who"], line["held"])


def _in_order(run: Iterable[Probed]) -> tuple[Probed, ...]:
    """In the order in which they were sent; the file has them in the order in which they ended."""
    return tuple(sorted(run, key=lambda probe: probe.start))


def _stretches(run: Iterable[Probed]) -> list[list[Probed]]:
    """The run, split where answers begin and end."""
    return [list(stretch) for _, stretch in groupby(run, key=lambda probe: probe.ok)]


def _gaps(run: Iterable[Probed]) -> list[Gap]:
    gaps: list[Gap] = []
    stretches: list[list[Probed]] = [[], *_stretches(run), []]
    for before, failed, after in zip(stretches, stretches[1:], stretches[2:], strict=False):
        if failed[0].ok:
            continue
        first = failed[0]
        gap = Gap(
            start=min(first.start, max((probe.end for probe in before), default=first.start)),
            end=min(probe.end for probe in after) if after else max(p.end for p in failed),
            failed=len(failed),
            error=first.error or "",
            closed=bool(after),
        )
        if gaps and gap.start < gaps[-1].end:  # probes overlap; time counts once
            earlier = gaps.pop()
            gap = replace(
                earlier,
                end=max(earlier.end, gap.end),
                failed=earlier.failed + gap.failed,
                closed=gap.closed,
            )
        gaps.append(gap)
    return gaps


def _intervals(run: Iterable[Probed]) -> list[Interval]:
    """A failure between two answers of one owner leaves the owner in between unknown: the daemon
    may have been restarted.
    """
    attributed = [pair for stretch in _stretches(run) for pair in _attributed(stretch)]
    intervals = []
    for (answered, who), pairs in groupby(attributed, key=lambda pair: (pair[0].ok, pair[1])):
        probes = [probe for probe, _ in pairs]
        end = max(probe.end for probe in probes)
        intervals.append(Interval(probes[0].start, end, answered, who))
    return intervals


def _attributed(stretch: list[Probed]) -> Iterator[tuple[Probed, str | None]]:
    earlier = _carried(stretch)
    later = reversed(_carried(reversed(stretch)))
    for probe, before, after in zip(stretch, earlier, later, strict=True):
        yield probe, before if before == after else None


def _carried(probes: Iterable[Probed]) -> list[str | None]:
    """For each probe the last known owner: its own, or that of an earlier probe."""
    known: list[str | None] = []
    for probe in probes:
        known.append(probe.who or (known[-1] if known else None))
    return known


def _owners(probes: Iterable[Probed]) -> tuple[Owner, ...]:
    owners: dict[str, Owner] = {}
    for probe in probes:
        if probe.who is not None:
            first = owners.get(probe.who, Owner(probe.who, probe.start, probe.start)).first
            owners[probe.who] = Owner(probe.who, first, probe.start)
    return tuple(owners.values())
