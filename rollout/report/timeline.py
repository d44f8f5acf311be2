"""One service during one act: its line, without holes, and its figures.

All times are seconds since the act began.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from typing import Any

from rollout.engine.listener import Result
from rollout.probe.outage import BLIND, Gap, Timeline

ANSWERED = "answered"
UNANSWERED = "not answered"
UNWATCHED = "not watched"


@dataclass(frozen=True)
class Stretch:
    """A part of the line. `by` is who answered: "host", a jail's name, or None for unknown."""

    start: float
    end: float
    state: str
    by: str | None = None


def service(
    timeline: Timeline, began: float, ended: float, results: Sequence[Result]
) -> dict[str, Any]:
    """One service of an act, as it is in report.json."""

    def moment(time: float) -> float:
        return round(time - began, 3)

    probes, gaps = timeline.probes, timeline.gaps
    since, until = (probes[0].start, probes[-1].start) if probes else (began, ended)
    window = timeline.window(since, until)
    known = window.seconds is not None
    return {
        "service": timeline.service,
        "verdict": "outage" if gaps else window.verdict,
        "outage": round(sum(gap.seconds for gap in gaps), 3) if gaps or known else None,
        "probes": len(probes),
        "rate": timeline.rate,
        "rate_reached": round(timeline.rate_reached, 1),
        "blind": round(window.blind, 3),
        "slowest": round(window.slowest, 3),
        "gaps": [_gap(gap, moment, results) for gap in gaps],
        "owners": [
            {"who": owner.who, "first": moment(owner.first), "last": moment(owner.last)}
            for owner in window.owners
        ],
        "certificates": [
            {
                "since": moment(each.since),
                "step": _under_way(each.since, results),
                **asdict(each.certificate),
            }
            for each in timeline.certificates
        ],
        "line": [
            {"start": start, "end": end, "state": each.state, "by": each.by}
            for each in line(timeline, began, ended)
            if (start := moment(each.start)) < (end := moment(each.end))
        ],
    }


def _under_way(time: float, results: Iterable[Result]) -> str | None:
    """The step that had begun last."""
    return next((each.step for each in reversed([*results]) if each.began <= time), None)


def _gap(gap: Gap, moment: Callable[[float], float], results: Iterable[Result]) -> dict[str, Any]:
    return {
        "start": moment(gap.start),
        "end": moment(gap.end),
        "seconds": round(gap.seconds, 3),
        "failed": gap.failed,
        "error": gap.error,
        "closed": gap.closed,
        "steps": [each.step for each in results if gap.start < each.ended and gap.end > each.began],
    }


def line(timeline: Timeline, began: float, ended: float) -> list[Stretch]:
    """The whole time from `began` to `ended`, in stretches of one state each.

    An outage is exactly as long as its gap. Where no probe was sent for a long time, the service
    was not watched.
    """
    gaps = [(gap.start, gap.end) for gap in timeline.gaps]
    holes = list(_holes(timeline, began, ended))
    answered = [each for each in timeline.intervals if each.answered]
    owned = [(each.start, each.end) for each in answered]
    cuts = {began, ended, *chain.from_iterable((*gaps, *holes, *owned))}
    found: list[Stretch] = []
    for start, end in pairwise(sorted(cut for cut in cuts if began <= cut <= ended)):
        middle = (start + end) / 2
        last = _latest(owned, middle)
        state, by = ANSWERED, answered[last].who if last >= 0 else None
        if _covered(gaps, middle):
            state, by = UNANSWERED, None
        elif last < 0 or _covered(holes, middle):
            state, by = UNWATCHED, None
        goes_on = bool(found) and (found[-1].state, found[-1].by) == (state, by)
        found.append(Stretch(found.pop().start if goes_on else start, end, state, by))
    return found


def _latest(ranges: Sequence[tuple[float, float]], time: float) -> int:
    """Which of them began last before `time`; -1 when none did."""
    return bisect_right(ranges, time, key=lambda each: each[0]) - 1


def _covered(ranges: Sequence[tuple[float, float]], time: float) -> bool:
    last = _latest(ranges, time)
    return last >= 0 and time < ranges[last][1]


def _holes(timeline: Timeline, began: float, ended: float) -> Iterator[tuple[float, float]]:
    """Where no probe was sent: before, between and after the prober's runs, and in long pauses."""
    until = began
    for run in timeline.runs:
        for probe in run:
            pause = probe.start - until
            if pause > 0 and (probe is run[0] or pause > BLIND / timeline.rate):
                yield until, probe.start
            until = max(until, probe.end)
    if until < ended:
        yield until, ended
