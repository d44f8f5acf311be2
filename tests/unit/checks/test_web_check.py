"""When two answers of web servers are the same."""

from __future__ import annotations

import pytest

from operations.needs import Listener
from rollout import site
from tests.checks.test_web import _denied, at_loopback_alone, same_answer
from tests.rehearsal.sites import SAMPLE

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


def test_what_a_sites_settings_ask_and_the_policy_denies() -> None:
    """Of services in other jails: what stays on the host is told by other checks."""
    sample = site.read(SAMPLE)
    rows = [
        "/usr/local/www/mail/config.inc.php:3:localhost:25",
        "/usr/local/www/mail/config.inc.php:4:127.0.0.1:53",
        "/usr/local/www/own/.env:1:localhost:80",
        "/usr/local/www/own/.env:2:localhost:6379",
        "/usr/local/www/own/.env:3:DB=/data/x",
    ]
    assert _denied(rows, sample, "web") == []
    allow = tuple(each for each in sample.policy.allow if each.to != "mail")
    policy = sample.policy.model_copy(update={"allow": allow})
    line = '{ from = "web", to = "mail", ports = ["25/tcp"] }'
    assert _denied(rows, sample.model_copy(update={"policy": policy}), "web") == [
        f"/usr/local/www/mail/config.inc.php:3: localhost:25: add {line} to `allow` there"
    ]
    order = tuple(each for each in sample.order if each != "policy")
    assert _denied(rows, sample.model_copy(update={"policy": policy, "order": order}), "web") == []
