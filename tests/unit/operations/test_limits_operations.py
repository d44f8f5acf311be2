"""Limits of a jail: which rules are given and taken away, and what jail.conf runs for them."""

from __future__ import annotations

from pathlib import Path as LocalPath

import pytest
from pyinfra.api.exceptions import OperationError

from operations import limits
from operations.facts import JailRules
from tests.unit.operations.asking import reversible, typed

MEMORY, PROCESSES = "jail:web:memoryuse:deny=1024", "jail:web:maxproc:deny=9"
RULES = (MEMORY, PROCESSES)


def given(*there: str) -> tuple[str, str]:
    [command] = reversible(limits.given, {JailRules: there}, jail="web", rules=RULES)
    return command.do, str(command.undo)


def test_the_undo_removes_what_was_given_and_no_more() -> None:
    assert given() == (
        f"rctl -a {MEMORY} {PROCESSES}",
        f"rctl -r {MEMORY}/jail {PROCESSES}/jail 2>/dev/null || "
        f"! rctl jail:web 2>/dev/null | grep -qxF -e {MEMORY} -e {PROCESSES}",
    )
    do, undo = given(MEMORY)
    assert MEMORY not in do + undo


def test_what_is_there_is_not_given_again() -> None:
    assert reversible(limits.given, {JailRules: RULES}, jail="web", rules=RULES) == []


def test_a_rule_of_others_is_never_replaced() -> None:
    with pytest.raises(OperationError, match="rctl has jail:web:maxproc:deny=8 already"):
        given("jail:web:maxproc:deny=8")


@pytest.mark.parametrize(
    ("removes", "lists", "undone"),
    [("exit 0", "", True), ("exit 2", "", True), ("exit 1", f"echo {PROCESSES}", False)],
    ids=["they were there", "they were not", "one stays"],
)
def test_the_undo_may_run_twice(
    tmp_path: LocalPath, removes: str, lists: str, undone: bool
) -> None:
    """rctl -r ends with the number of rules that it could not remove."""
    (tmp_path / "here").mkdir()
    rctl = f"case $1 in -r) {removes} ;; *) {lists or ':'} ;; esac"
    assert (typed(given()[1], tmp_path / "here", rctl=rctl).returncode == 0) is undone


def test_what_jail_conf_runs_never_keeps_a_jail_from_starting(tmp_path: LocalPath) -> None:
    (tmp_path / "here").mkdir()
    lines = limits.at_start("web", RULES, "0-1")
    assert [each.partition(" || ")[0] for each in lines] == [
        f"rctl -a {MEMORY} {PROCESSES}",
        "cpuset -l 0-1 -j web",
    ]
    for line in (*lines, *limits.at_stop(RULES)):
        assert not set('"\\$') & set(line), "jail.conf(5) would read it otherwise"
        done = typed(line, tmp_path / "here", rctl="exit 1", cpuset="exit 1", logger='echo "$@"')
        assert done.returncode == 0
        assert ("no limits by" in done.stdout) is (line in lines)


def test_without_limits_there_is_nothing_to_run() -> None:
    assert limits.at_start("web", (), None) == limits.at_stop(()) == []
