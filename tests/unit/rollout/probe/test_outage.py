"""Probe results give the outages that a client felt, and claim nothing that was not watched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollout.probe import outage
from rollout.probe.outage import Owner, Timeline


def began(rate: float = 10.0) -> dict[str, object]:
    return {"t": 0.0, "m": 0.0, "service": "web", "rate": rate}


def probed(
    t: float, error: str | None = None, who: str | None = None, ms: float = 10.0, held: bool = False
) -> dict[str, object]:
    return {
        "t": t,
        "m": t,
        "service": "web",
        "ok": error is None,
        "ms": ms,
        "who": who,
        "error": error,
        "held": held,
    }


def seen(tmp_path: Path, *lines: dict[str, object]) -> Timeline:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return outage.read(path)["web"]


def test_a_gap_reaches_from_the_last_good_answer_to_the_next(tmp_path: Path) -> None:
    web = seen(
        tmp_path,
        began(),
        probed(100.0),
        probed(100.1, "refused"),
        probed(100.2, "timed out", ms=1000.0),
        probed(100.3, ms=20.0),
        probed(100.4),
    )
    (gap,) = web.gaps
    assert (gap.start, gap.end) == pytest.approx((100.01, 100.32))
    assert (gap.failed, gap.error, gap.closed) == (2, "refused", True)
    assert web.longest_gap == gap


def test_the_order_is_that_of_sending_not_of_the_file(tmp_path: Path) -> None:
    late = probed(100.1, "timed out", ms=1000.0)
    web = seen(tmp_path, began(), probed(100.0), probed(100.2), probed(100.3), late)
    (gap,) = web.gaps
    assert (gap.start, gap.end) == pytest.approx((100.01, 100.21))


def test_a_slow_good_answer_hides_no_failure_sent_after_it(tmp_path: Path) -> None:
    web = seen(tmp_path, began(), probed(100.0, ms=900.0), probed(100.1, "refused"), probed(100.2))
    (gap,) = web.gaps
    assert (gap.start, gap.end) == pytest.approx((100.1, 100.21))


def test_overlapping_gaps_count_once(tmp_path: Path) -> None:
    web = seen(
        tmp_path,
        began(),
        probed(100.0),
        probed(100.1, "refused"),
        probed(100.2, ms=500.0),
        probed(100.3, "refused"),
        probed(100.4),
    )
    (gap,) = web.gaps
    assert (gap.start, gap.end) == pytest.approx((100.01, 100.7))
    assert gap.failed == 2


def test_a_gap_that_never_ended_says_so(tmp_path: Path) -> None:
    web = seen(tmp_path, began(), probed(100.0), probed(100.1, "refused", ms=30.0))
    (gap,) = web.gaps
    assert not gap.closed
    assert gap.end == pytest.approx(100.13)


def test_nothing_reaches_from_one_run_to_the_next(tmp_path: Path) -> None:
    web = seen(tmp_path, began(), probed(100.0), probed(100.1, "refused"), began(), probed(5000.0))
    (gap,) = web.gaps
    assert gap.seconds < 1
    assert web.window(100.0, 5000.0).blind == pytest.approx(4899.9)


def test_the_outage_of_a_step_is_the_part_within_it(tmp_path: Path) -> None:
    lines = [probed(100 + n / 10, "refused" if 10 <= n < 20 else None) for n in range(40)]
    web = seen(tmp_path, began(), *lines)
    window = web.window(101.5, 103.5)
    assert window.verdict == "outage"
    assert window.outage == pytest.approx(0.51)
    assert str(window) == "outage 0.51 s (1 gaps, longest 1.10 s)"
    assert web.window(102.2, 103.5).verdict == "no outage"


@pytest.mark.parametrize(
    ("start", "end", "verdict"),
    [
        (100.0, 104.0, "no outage"),
        (100.0, 106.0, "thin"),  # enough in number, but not at its end
        (100.0, 120.0, "thin"),
        (200.0, 201.0, "not watched"),
    ],
)
def test_no_outage_is_never_said_of_a_time_when_nobody_looked(
    tmp_path: Path, start: float, end: float, verdict: str
) -> None:
    web = seen(tmp_path, began(), *(probed(100 + n / 10) for n in range(41)))
    assert web.window(start, end).verdict == verdict


def test_a_hole_in_the_middle_is_thin_too(tmp_path: Path) -> None:
    times = [100 + n / 10 for n in range(100) if not 30 <= n < 45]
    assert seen(tmp_path, began(), *map(probed, times)).window(100, 109.9).verdict == "thin"


def test_a_service_without_a_probe_is_there_and_not_watched(tmp_path: Path) -> None:
    assert seen(tmp_path, began()).window(0.0, 10.0).verdict == "not watched"


def test_owners_hold_between_answers_that_agree(tmp_path: Path) -> None:
    web = seen(
        tmp_path,
        began(),
        probed(100.0, who="host", held=True),
        probed(100.1),
        probed(100.2, who="host", held=True),
        probed(100.3),
        probed(100.4, who="web", held=True),
        probed(100.5),
        probed(100.6, "refused"),
        probed(100.7, who="web", held=True),
    )
    assert [(i.answered, i.who) for i in web.intervals] == [
        (True, "host"),
        (True, None),
        (True, "web"),
        (True, None),
        (False, None),
        (True, "web"),
    ]
    assert web.intervals[0].start == 100.0
    assert web.intervals[0].end == pytest.approx(100.21)
    assert web.owners == (Owner("host", 100.0, 100.2), Owner("web", 100.4, 100.7))
    assert web.window(100.3, 100.5).owners == (Owner("web", 100.4, 100.4),)


def test_the_rate_is_that_of_the_plain_probes(tmp_path: Path) -> None:
    lines = [probed(100 + n / 10) for n in range(11)]
    held = [probed(100.05 + n / 10, held=True) for n in range(10)]
    web = seen(tmp_path, began(), *lines, *held)
    assert web.rate_reached == pytest.approx(10.0)
    assert web.window(100.0, 101.0).probes == 21


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    whole = "".join(json.dumps(line) + "\n" for line in (began(), probed(100.0)))
    path.write_text(whole + '{"t": 100.1, "m": 1, "serv')
    assert len(outage.read(path)["web"].probes) == 1
