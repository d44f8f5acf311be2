"""When two answers of web servers are the same."""

from __future__ import annotations

import pytest

from operations.needs import Listener
from tests.checks.test_web import at_loopback_alone, same_answer

PAGE = ["200", "24", "ab12", "-"]
OTHER = ["200", "30", "cd34", "-"]
MOVED = ["301", "24", "ab12", "http://www.example.org/"]
GONE = ["404", "196", "ef56", "-"]
BROKEN = ["503", "299", "0a0b", "-"]
NOTHING = ["none", "0", "e3b0", "-"]


@pytest.mark.parametrize(
    ("before", "jails", "after", "same"),
    [
        (PAGE, PAGE, PAGE, True),
        (GONE, GONE, GONE, True),
        (PAGE, OTHER, PAGE, False),
        (MOVED, [*MOVED[:3], "http://10.80.0.4/"], MOVED, False),
        (PAGE, BROKEN, OTHER, False),
        (PAGE, ["200", "9", "9999", "-"], OTHER, True),
        (NOTHING, NOTHING, NOTHING, False),
    ],
)
def test_what_does_not_vary_on_the_host_is_compared_whole(
    before: list[str], jails: list[str], after: list[str], same: bool
) -> None:
    assert same_answer(before, jails, after) is same


@pytest.mark.parametrize(
    ("proto", "addresses", "asked"),
    [
        ("tcp4", ["127.0.0.1"], "@127.0.0.1"),
        ("tcp4", ["127.0.0.1", "203.0.113.2"], ""),
        ("tcp46", ["*"], ""),
        ("tcp4", ["203.0.113.2"], ""),
        ("tcp6", ["::1"], ""),
    ],
)
def test_a_server_behind_a_proxy_is_asked_where_it_listens(
    proto: str, addresses: list[str], asked: str
) -> None:
    there = [Listener("1", "httpd", proto, each, 8080) for each in addresses]
    there.append(Listener("2", "nginx", "tcp4", "*", 80))
    assert at_loopback_alone(there, 8080, "203.0.113.2") == asked
