"""The check fails and names what still belongs to MySQL after the change of owners."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from operations.quota import once
from tests.checks import test_quota as quota

SCRIPT = "/usr/local/etc/cellblock/mysql.quota"


class Host:
    """The change of owners exits with this code; then these lines are left."""

    def __init__(self, code: int, wrong: str) -> None:
        self.code = code
        self.wrong = wrong

    def run(self, command: str) -> Any:
        assert command == f"{once(SCRIPT)} give"
        return SimpleNamespace(rc=self.code, stdout="", stderr="chown: not permitted\n")

    def check_output(self, command: str, *words: str) -> str:
        assert (command, words) == ("sh %s wrong", (SCRIPT,))
        return self.wrong


def test_nothing_left_passes() -> None:
    quota.test_databases_belong_to_their_accounts(Host(0, ""), SCRIPT)


def test_what_could_not_be_given_is_told() -> None:
    with pytest.raises(AssertionError, match="give fails: chown: not permitted"):
        quota.test_databases_belong_to_their_accounts(Host(1, ""), SCRIPT)


def test_what_is_left_is_named() -> None:
    with pytest.raises(AssertionError, match=r"2 database files .* the first: 1001 "):
        left = "1001 /var/db/mysql/a_x\n1001 /var/db/mysql/a_x/t.ibd"
        quota.test_databases_belong_to_their_accounts(Host(0, left), SCRIPT)
