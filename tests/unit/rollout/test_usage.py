"""What jails use: counters of our own rules, added up by jail, and what rctl and du say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rollout import site, usage
from rollout.errors import Refused
from rollout.usage import Count

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")
# As 13.2 printed it, but for the figures.
NOTHING = {"memory": None, "cpu": None, "processes": None, "disk": None}
TAKEN = """\
=== jail web
cputime=12
memoryuse=3145728
maxproc=7
pcpu=42
writebps=0
disk=2048
=== jail bind
disk=1024
"""
LISTED = """\
00050   10    1000 count ip from any to 10.80.0.4 in // web received
00050    2     120 count tcp from any to 203.0.113.2 80 in // web received
00050    7 3000000 count ip from 10.80.0.4 to any out // web sent
00050    1      60 count ip from 10.80.0.3 to any out // mysql sent
65535 104   12976 allow ip from any to any
"""


def test_counters_are_added_up_by_jail() -> None:
    assert usage.counts(LISTED) == {
        "web": {"received": Count(12, 1120), "sent": Count(7, 3000000)},
        "mysql": {"received": Count(), "sent": Count(1, 60)},
    }


def test_without_seconds_there_is_one_reading_and_no_rate() -> None:
    typed: list[str] = []
    [web, mysql] = usage.read(SAMPLE, lambda text: typed.append(text) or LISTED, 0)  # type: ignore[func-returns-value] # append gives None
    assert len(typed) == 1
    assert typed[0].startswith("ipfw -a list 1 2>/dev/null || true; if jls -j bind jid ")
    assert web == {
        "jail": "web",
        "received": {"packets": 12, "bytes": 1120},
        "sent": {"packets": 7, "bytes": 3000000},
        **NOTHING,
    }
    assert "rate" not in usage.table([web, mysql])


def test_a_rate_is_the_difference_over_the_time_between() -> None:
    later = LISTED.replace("1000 count", "6000 count").replace("  10 ", "  30 ")
    [web, _] = usage.read(SAMPLE, lambda _: f"{LISTED}=== later\n{later}", 5)
    assert web["received"]["bytes_per_second"] == 1000
    assert web["received"]["packets_per_second"] == 4
    assert web["sent"]["bytes_per_second"] == 0
    assert "1000 B/s" in usage.table([web])
    assert "2.9 MiB" in usage.table([web])


def test_what_a_jail_takes_is_beside_what_it_sends() -> None:
    web, bind, mysql = usage.read(SAMPLE, lambda _: LISTED + TAKEN, 0)
    assert (web["jail"], bind["jail"], mysql["jail"]) == ("web", "bind", "mysql")
    taken = {"memory": 3145728, "cpu": 42, "processes": 7, "disk": 2048}
    assert {what: web[what] for what in taken} == taken
    assert bind == {"jail": "bind", "received": None, "sent": None, **NOTHING, "disk": 1024}
    text = usage.table([web, bind, mysql])
    assert re.search(r"web .* 3\.0 MiB +42 % +7 +2\.0 KiB$", text, re.MULTILINE)
    assert "kern.racct.enable" not in text


def test_what_nothing_counts_is_said() -> None:
    text = usage.table(usage.read(SAMPLE, lambda _: "=== jail web\ndisk=1024\n", 0))
    assert "the line kern.racct.enable=1 in" in text
    assert "nothing counts them; the step 'traffic' does" in text
    text = usage.table(usage.read(SAMPLE, lambda _: TAKEN, 5))
    assert "kern.racct.enable" not in text


def test_without_jails_and_counters_it_is_refused() -> None:
    with pytest.raises(Refused, match="no Cellblock counters"):
        usage.read(SAMPLE, lambda _: "65535 1 1 allow ip from any to any\n", 0)


def test_the_tcpdump_lines_of_a_jail() -> None:
    assert usage.tcpdump(SAMPLE, "web") == [
        "tcpdump -n -i vtnet0 '(host 203.0.113.2 and (tcp port 80))'",
        "tcpdump -n -i lo1 'host 10.80.0.4'",
    ]
    with pytest.raises(Refused, match="there is no jail 'wbe'"):
        usage.tcpdump(SAMPLE, "wbe")
