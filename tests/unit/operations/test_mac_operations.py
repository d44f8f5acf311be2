"""Rules of mac(4): what is loaded and set, and that the undo takes back just that."""

from __future__ import annotations

from pathlib import Path as LocalPath

import pytest
from pyinfra.api.exceptions import OperationError

from operations import mac
from operations.facts import AccessRules, Exempt, Module
from tests.unit.operations.asking import pairs, reversible, typed

RULE = "subject uid 1001:1999 object uid 1001:1999 ! uid_of_subject mode n"
SEES = "security.mac.seeotheruids.specificgid"


def test_what_is_loaded_already_is_not_unloaded() -> None:
    assert reversible(mac.loaded, {Module: True}, module="mac_bsdextended") == []


def test_a_policy_is_unloaded_while_nobody_else_has_rules_in_it() -> None:
    assert pairs(reversible(mac.loaded, {Module: False}, module="mac_bsdextended")) == [
        (
            "kldload mac_bsdextended",
            "if kldstat -q -m mac_bsdextended && "
            '[ -z "$(ugidfw list 2>/dev/null | tail -n +2)" ]; then kldunload mac_bsdextended; fi',
        )
    ]
    assert pairs(reversible(mac.loaded, {Module: False}, module="mac_seeotheruids")) == [
        (
            "kldload mac_seeotheruids",
            "if kldstat -q -m mac_seeotheruids; then kldunload mac_seeotheruids; fi",
        )
    ]


def given() -> tuple[str, str]:
    [command] = reversible(mac.ruled, {AccessRules: ()}, rules=[RULE])
    return command.do, str(command.undo)


def test_a_rule_is_set_and_removed_by_its_number() -> None:
    has = "ugidfw list 2>/dev/null | grep -q '^0 subject '"
    assert given() == (
        f"ugidfw set 0 {RULE} && {has}",
        f"if {has}; then ugidfw remove 0 && ! {has}; fi",
    )


def test_rules_of_others_are_not_joined() -> None:
    with pytest.raises(OperationError, match="ugidfw has the rule 7 subject object mode n already"):
        reversible(mac.ruled, {AccessRules: ("7 subject object mode n",)}, rules=[RULE])


@pytest.mark.parametrize(
    ("line", "lists", "done"),
    [
        (0, "echo '1 slots, 1 rules'; echo '0 subject object mode n'", True),
        (0, "echo '0 slots, 0 rules'", False),
        (0, "echo '11 slots, 1 rules'; echo '10 subject object mode n'", False),
        (1, "echo '1 slots, 0 rules'", True),
        (1, "exit 1", True),
        (1, "echo '1 slots, 1 rules'; echo '0 subject object mode n'", False),
    ],
    ids=["it is there", "it is not", "another is", "undone", "unloaded since", "it stays"],
)
def test_ugidfw_is_not_believed(tmp_path: LocalPath, line: int, lists: str, done: bool) -> None:
    """It ends with 0 whatever happened (usr.sbin/ugidfw/ugidfw.c), so what it did is read back."""
    (tmp_path / "here").mkdir()
    ugidfw = f"case $1 in list) {lists} ;; esac"
    assert (typed(given()[line], tmp_path / "here", ugidfw=ugidfw).returncode == 0) is done


def test_one_group_may_see_all_processes() -> None:
    assert pairs(reversible(mac.watched_by, {Exempt: False}, group="monitor")) == [
        (
            f'sysctl {SEES}="$(pw groupshow monitor | cut -d : -f 3)" {SEES}_enabled=1',
            f"if kldstat -q -m mac_seeotheruids; then sysctl {SEES}_enabled=0 {SEES}=0; fi",
        )
    ]
    with pytest.raises(OperationError, match="there is room for one group"):
        reversible(mac.watched_by, {Exempt: True}, group="monitor")


def test_what_a_boot_sets_is_what_the_step_sets() -> None:
    assert mac.at_boot([RULE], hidden=True, watchers="monitor") == [
        f"ugidfw set 0 {RULE}",
        "kldload -n mac_seeotheruids",
        f'sysctl {SEES}="$(pw groupshow monitor | cut -d : -f 3)" {SEES}_enabled=1 >/dev/null',
    ]
    assert mac.at_boot([RULE], hidden=False, watchers=None) == [f"ugidfw set 0 {RULE}"]
