"""Where a host stands, and what to type next, in every state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations import rc
from rollout import site
from rollout.host.journal import STATES, Entry, Journal
from rollout.plan import Plan
from rollout.plan.step import Step, check, use
from rollout.report import status

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")
ASKS = Step("preflight", "See first.", (), (check("jail::runs"),))
USED = (use(rc.variable, name="apache24_enable", value="NO"),)
ONE, TWO = (Step(name, "It stops.", USED, (check("jail::runs"),)) for name in ("one", "two"))
PLAN = Plan(SAMPLE, (ASKS, ONE, TWO))
SITE = f"--site {SAMPLE.path}"
NOTHING = {"note": "", "answer": None, "by_hand": None}


def entry(step: str, state: str, **more: Any) -> Entry:
    position = 1 if step == "one" else 2
    hash = more.pop("hash", PLAN.steps[position].hash)
    return Entry(PLAN.directory(position), state, hash, **more)


def data(*entries: Entry, **more: Any) -> dict[str, Any]:
    return status.data(PLAN, Journal(entries, **more))


def test_a_host_on_which_nothing_was_begun() -> None:
    told = data()
    assert told["summary"] == "No step was ever begun on this host."
    assert told["next"].startswith(f"cellblock plan {SITE}")
    assert told["steps"] == [
        {"step": "preflight", "state": "checks only", **NOTHING},
        {"step": "one", "state": "not begun", **NOTHING},
        {"step": "two", "state": "not begun", **NOTHING},
    ]
    assert (told["site"], told["lock"], told["abandoned_lock"]) == (None, None, None)


@pytest.mark.parametrize(
    ("entries", "more", "summary", "advice"),
    [
        ([("one", "confirmed", {})], {}, "1 of 2 steps are confirmed.", "; then cellblock apply"),
        (
            [("one", "confirmed", {}), ("two", "confirmed", {})],
            {},
            "All 2 steps are confirmed.",
            "nothing has to be done; cellblock verify",
        ),
        (
            [("one", "confirmed", {}), ("two", "stuck", {"stuck": "undo failed", "reason": "x"})],
            {"lock": "jane"},
            "two is stuck: undo failed. Manual repair is needed. 1 of 2",
            f"repair what they name; then cellblock rollback --to one {SITE}",
        ),
        (
            [("one", "confirmed", {}), ("two", "confirmed", {"hash": "feed"})],
            {},
            f"Not as {SAMPLE.path} has them now: two.",
            f"use the site file of that run; or cellblock rollback --to one {SITE}, then cellblock",
        ),
        (
            [("one", "stuck", {"stuck": "undo failed"})],
            {},
            "one is stuck",
            f"then cellblock rollback {SITE}",
        ),
        (
            [("one", "confirmed", {}), ("two", "applying", {})],
            {"lock": "jane"},
            "two is running on the host. 1 of 2 steps are confirmed. Another run is active: jane.",
            "wait for that run; then cellblock status",
        ),
        (
            [("one", "applying", {})],
            {"abandoned": "jane"},
            "The last run ended unexpectedly: jane.",
            "wait; then cellblock status",
        ),
        (
            [("one", "applying", {"hand": "jane"})],
            {},
            "one was interrupted during manual entry.",
            f"cellblock apply --by-hand {SITE} to go on, or cellblock rollback {SITE}",
        ),
        (
            [("one", "applied", {"left": 88})],
            {},
            "one is applied and not confirmed: automatic rollback in 88 s.",
            f"cellblock apply {SITE}, which checks and confirms it",
        ),
        (
            [("one", "undoing", {"reason": "2 checks failed"})],
            {},
            "one is being undone: 2 checks failed.",
            "wait; then cellblock status",
        ),
        (
            [("one", "undone", {"reason": "command 003 failed (1): x"})],
            {},
            "one failed and was undone: command 3 failed, exit code 1: x. 0 of 2",
            f"steps/002-one/log on the host and cellblock plan one {SITE}",
        ),
        ([("one", "undone", {"reason": "rollback"})], {}, "0 of 2 steps", "cellblock plan --site"),
        ([("one", "prepared", {})], {}, "0 of 2 steps", "cellblock plan --site"),
    ],
)
def test_each_state_has_its_sentence_and_the_next_command(
    entries: list[tuple[str, str, dict[str, Any]]],
    more: dict[str, str],
    summary: str,
    advice: str,
) -> None:
    told = data(*(entry(step, state, **kept) for step, state, kept in entries), **more)
    assert summary in told["summary"]
    assert advice in told["next"]
    text = " ".join(status.text(told).split())
    assert text.startswith(told["summary"]), "the result is not the first"
    assert text.endswith(f"Next: {told['next']}"), "the next command is not the last"


def test_every_state_is_explained_beside_the_table() -> None:
    for state in STATES:
        assert f"\n{state}: {status.STATES[state]}\n" in status.text(data(entry("one", state)))
    assert set(status.STATES) == {*STATES, "not begun", "checks only"}


def test_only_a_stuck_step_is_stuck() -> None:
    found = [state for state in STATES if status.stuck(Journal((entry("one", state),)))]
    assert found == ["stuck"]


def test_the_table_says_why_a_step_is_where_it_is_within_80_columns() -> None:
    reason = "command 003 failed (1): " + "word " * 30
    text = status.text(data(entry("one", "undone", reason=reason, said="yes, me")))
    assert "yes, me" in text
    rows = [line for line in text.splitlines() if "/" not in line]  # a path is not broken
    assert max(map(len, rows)) <= 80
