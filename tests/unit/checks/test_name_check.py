"""The check asks the host whether it resolves a name, and fails when it does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.checks import test_name as name


class Host:
    def __init__(self, code: int) -> None:
        self.code = code

    def run(self, command: str, *words: str) -> Any:
        assert (command, words) == ("host -t SOA %s", ("example.org",))
        return SimpleNamespace(rc=self.code, stdout="no servers could be reached\n")


def test_a_name_that_resolves_passes() -> None:
    name.test_can_be_looked_up_on_host(Host(0), "example.org")


def test_a_name_that_does_not_resolve_is_told() -> None:
    with pytest.raises(AssertionError, match=r"cannot look up example.org: no servers"):
        name.test_can_be_looked_up_on_host(Host(1), "example.org")
