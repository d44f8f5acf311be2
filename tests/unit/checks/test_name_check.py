"""The check asks the host whether it resolves a name, and fails when it does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.checks import test_name as name


class Host:
    """`asks`: whether its resolv.conf names the server."""

    def __init__(self, code: int, *, asks: bool = True) -> None:
        self.code = code
        self.asks = asks

    def run(self, command: str, *words: str) -> Any:
        if command.startswith("awk "):
            return SimpleNamespace(rc=0, stdout="10.80.0.2\n" * self.asks)
        assert (command, words) == ("host -t SOA %s %s", ("example.org", "10.80.0.2"))
        return SimpleNamespace(rc=self.code, stdout="no servers could be reached\n")


def test_a_name_that_resolves_passes() -> None:
    name.test_can_be_looked_up_on_host(Host(0), "example.org", "10.80.0.2")


def test_a_name_that_does_not_resolve_is_told() -> None:
    with pytest.raises(AssertionError, match=r"look up example.org at 10.80.0.2.*: no servers"):
        name.test_can_be_looked_up_on_host(Host(1), "example.org", "10.80.0.2")


def test_a_server_that_the_host_does_not_ask_is_not_asked() -> None:
    name.test_can_be_looked_up_on_host(Host(1, asks=False), "example.org", "10.80.0.2")
