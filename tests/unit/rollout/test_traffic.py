"""Counters of our own rules, added up by jail."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import site, traffic
from rollout.errors import Refused
from rollout.traffic import Count

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")
# As 13.2 printed it, but for the figures.
LISTED = """\
00050   10    1000 count ip from any to 10.80.0.4 in // web received
00050    2     120 count tcp from any to 203.0.113.2 80 in // web received
00050    7 3000000 count ip from 10.80.0.4 to any out // web sent
00050    1      60 count ip from 10.80.0.3 to any out // mysql sent
65535 104   12976 allow ip from any to any
"""


def test_counters_are_added_up_by_jail() -> None:
    assert traffic.counts(LISTED) == {
        "web": {"received": Count(12, 1120), "sent": Count(7, 3000000)},
        "mysql": {"received": Count(), "sent": Count(1, 60)},
    }


def test_without_seconds_there_is_one_reading_and_no_rate() -> None:
    typed: list[str] = []
    [web, mysql] = traffic.read(SAMPLE, lambda text: typed.append(text) or LISTED, 0)  # type: ignore[func-returns-value] # append gives None
    assert typed == ["ipfw -a list 1 2>/dev/null || true"]
    assert web == {
        "jail": "web",
        "received": {"packets": 12, "bytes": 1120},
        "sent": {"packets": 7, "bytes": 3000000},
    }
    assert "rate" not in traffic.table([web, mysql])


def test_a_rate_is_the_difference_over_the_time_between() -> None:
    later = LISTED.replace("1000 count", "6000 count").replace("  10 ", "  30 ")
    [web, _] = traffic.read(SAMPLE, lambda _: f"{LISTED}=== later\n{later}", 5)
    assert web["received"]["bytes_per_second"] == 1000
    assert web["received"]["packets_per_second"] == 4
    assert web["sent"]["bytes_per_second"] == 0
    assert "1000 B/s" in traffic.table([web])
    assert "2.9 MiB" in traffic.table([web])


def test_no_counters_are_refused() -> None:
    with pytest.raises(Refused, match="no Cellblock counters"):
        traffic.read(SAMPLE, lambda _: "65535 1 1 allow ip from any to any\n", 0)


def test_the_tcpdump_lines_of_a_jail() -> None:
    assert traffic.tcpdump(SAMPLE, "web") == [
        "tcpdump -n -i vtnet0 '(host 203.0.113.2 and (tcp port 80))'",
        "tcpdump -n -i lo1 'host 10.80.0.4'",
    ]
    with pytest.raises(Refused, match="there is no jail 'wbe'"):
        traffic.tcpdump(SAMPLE, "wbe")
