"""Whom configurations tell a daemon to ask: by an address, by a name, and at this machine."""

from __future__ import annotations

from typing import Any

import pytest

from operations import apache, logs, php
from operations.facts import FoundNames
from rollout import site
from tests.checks import reaching
from tests.rehearsal.sites import SAMPLE


@pytest.mark.parametrize(
    ("url", "need"),
    [
        ("http://app.internal:8080/", ("port", "tcp 127.0.0.1:8080")),
        ("http://app.internal:3306/", ("port", "tcp 127.0.0.1:3306")),
        ("http://app.example.org:8080/", ("connection", "tcp 192.0.2.7:8080")),
        ("http://192.0.2.8:8080/", ("connection", "tcp 192.0.2.8:8080")),
    ],
)
def test_a_name_of_etc_hosts_may_mean_this_machine(url: str, need: tuple[str, str]) -> None:
    """In a jail 127.0.0.1 is the jail itself, whatever its name is."""

    def ask(fact: Any, **_: Any) -> Any:
        line = f"/usr/local/etc/apache24/httpd.conf:9:ProxyPass /app {url}"
        return {
            FoundNames: {"app.internal": "127.0.0.1", "app.example.org": "192.0.2.7"},
            logs.Forwarded: [],
            apache.Directives: apache.Directives().process([line]),
            php.Settings: php.Settings.default(),
        }[fact]

    [found] = reaching.named(ask, site.read(SAMPLE), "web")
    assert (found.kind, found.what) == need
    assert found.said.startswith("/usr/local/etc/apache24/httpd.conf:9: http://")
