"""An undo that is killed is continued once, by the next process that finds it."""

from __future__ import annotations

import pytest

from tests.unit.rollout.lab import Lab, leave_applied, until


def test_an_undo_that_is_killed_in_the_middle_is_gone_on_with(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = lab.makes("b", undo=f"sleep 1.5; rm -f {lab.path('b')}")
    step = lab.step("one", lab.makes("a"), slow, lab.makes("c"), confirm_within=3)
    leave_applied(lab, step, monkeypatch=monkeypatch)
    until(lambda: "undo-b" in lab.acts)
    assert lab.host.kill("undo-locked")
    assert lab.host.wait("001-one", "undone", "stuck") == "undone"
    assert lab.acts[3:] == ["undo-c", "undo-b", "undo-b", "undo-a"]


def test_an_undo_whose_guard_is_killed_too_is_gone_on_with_by_hand(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = lab.makes("b", undo=f"sleep 1.5; rm -f {lab.path('b')}")
    step = lab.step("one", lab.makes("a"), slow, confirm_within=3)
    leave_applied(lab, step, monkeypatch=monkeypatch)
    until(lambda: "undo-b" in lab.acts)
    lab.host.kill()
    assert lab.host.state("001-one") == "undoing"
    done = lab.host.ask("undo")
    assert done.returncode == 0, done.stderr
    assert lab.host.state("001-one") == "undone"


def test_two_who_come_to_undo_do_it_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = lab.makes("a", undo=f"sleep 1; rm -f {lab.path('a')}")
    leave_applied(lab, lab.step("one", slow, confirm_within=3), monkeypatch=monkeypatch)
    lab.host.wait("001-one", "undoing")
    assert lab.host.ask("undo").returncode == 0
    assert lab.host.state("001-one") == "undone"
    assert lab.acts == ["do-a", "undo-a"]


def test_an_undo_whose_lock_was_lost_leaves_the_rest_to_who_has_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only lockf(1) is killed: two processes must not undo at the same time."""
    slow = lab.makes("b", undo=f"sleep 6; rm -f {lab.path('b')}")
    step = lab.step("one", lab.makes("a"), slow, confirm_within=3)
    leave_applied(lab, step, monkeypatch=monkeypatch)
    until(lambda: "undo-b" in lab.acts)
    assert lab.host.kill("flock")
    assert lab.host.wait("001-one", "undone", "stuck") == "undone"
    assert lab.acts[2:] == ["undo-b", "undo-b", "undo-a"]
