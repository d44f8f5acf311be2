"""The result in sentences: what they say, and above all what they never claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout import errors
from rollout.report import summary
from tests.unit.rollout import reported

CUTOVER = 1 + reported.EACH * (len(reported.names()) - 1) + 1.5


def report(where: Path, *acts: Any, error: Exception | None = None, **more: Any) -> dict[str, Any]:
    data, _ = reported.left(where, *(acts or (reported.act(),)), error=error)
    return {**data, **more}


def port(service: str, leads_to: str | None, seen: str | None = None) -> dict[str, Any]:
    return {"service": service, "leads_to": leads_to, "seen": seen}


def act(*ports: dict[str, Any], **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "steps": [],
        "services": [],
        "compared": None,
        "after": {"ports": ports},
    }
    return {**told, **more}


def watched(service: str, verdict: str = "no outage", *gaps: Any) -> dict[str, Any]:
    return {"service": service, "verdict": verdict, "gaps": gaps, "probes": 9}


def gap(seconds: float, *steps: str) -> dict[str, Any]:
    return {"seconds": seconds, "steps": steps}


def step(name: str, **expected: float) -> dict[str, Any]:
    return {"step": name, "expected_outage": expected}


def test_an_apply_says_where_services_run_and_who_was_down(tmp_path: Path) -> None:
    assert summary.run(report(tmp_path)) == (
        "11 steps were applied and confirmed. 1 of 4 services runs in a jail (mysql). "
        "mysql was down for 0.70 s (limit 15 s). bind and web always answered. mail: not watched."
    )


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ((port("a", "a"), port("b", "b", "b")), "All 2 services run in jails."),
        ((port("a", "host"), port("b", "b")), "1 of 2 services runs in a jail (b)."),
        ((port("a", "a", "host"), port("b", "host")), "All 2 services run on the host."),
        ((port("a", "a"), port("a", "host")), "No service runs in a jail."),
        ((port("a", None), port("b", "host")), "No service runs in a jail."),
        ((port("a", "a"),), "The service a runs in a jail."),
        ((port("a", "host"),), "The service a runs on the host."),
    ],
)
def test_a_service_runs_in_a_jail_when_all_its_ports_do(
    ports: tuple[dict[str, Any], ...], said: str
) -> None:
    assert summary.act(act(*ports)) == f"{said} Outages: not watched."


def test_an_outage_within_its_limit_is_no_alarm_and_one_beyond_it_is() -> None:
    steps = [step("a.cutover", a=15.0), step("b.cutover")]
    within = act(steps=steps, services=[watched("a", "outage", gap(0.09, "a.cutover"))])
    beyond = act(steps=steps, services=[watched("a", "outage", gap(15.2, "a.cutover"))])
    other = act(steps=steps, services=[watched("a 53/udp", "outage", gap(0.3, "b.cutover"))])
    found = [summary.outages(each)[0] for each in (within, beyond, other)]
    assert [each.alarm for each in found] == [False, True, True]
    assert summary.act(within) == "a was down for 0.09 s (limit 15 s)."
    assert summary.act(beyond) == "a was down for 15.20 s (limit 15 s, exceeded)."
    assert summary.act(other) == (
        "a 53/udp was down for 0.30 s during b.cutover (no outage was expected)."
    )


def test_an_unexpected_outage_does_not_hide_behind_the_limit_of_another_step() -> None:
    steps = [step("a.cutover", a=15.0), step("b.cutover")]
    gaps = (gap(0.1, "a.cutover"), gap(0.4, "b.cutover"), gap(0.2))
    told = summary.act(act(steps=steps, services=[watched("a", "outage", *gaps)]))
    assert "a was down for 0.10 s (limit 15 s)." in told
    assert "a was down for 0.60 s during b.cutover (no outage was expected)." in told


def test_what_was_not_watched_is_never_said_to_have_answered() -> None:
    services = [watched("a"), watched("b", "not watched"), watched("c", "thin")]
    told = summary.act(act(port("d", "d"), services=services))
    assert told.endswith("a always answered. d and b: not watched. c: not watched all the time.")


def test_of_several_acts_the_longest_outage_counts(tmp_path: Path) -> None:
    steps = [step("a.cutover", a=15.0)]
    acts = [
        act(steps=steps, services=[watched("a", "outage", gap(seconds, "a.cutover"))])
        for seconds in (0.2, 0.7, 0.1)
    ]
    told = summary.run(report(tmp_path, acts=acts, command="rehearse"))
    assert told == "a was down for 0.70 s (limit 15 s)."


@pytest.mark.parametrize(
    ("differences", "said"), [([], "identical (320 facts)."), (["+a"], "1 lines differ.")]
)
def test_a_rehearsal_says_what_the_comparison_found(
    tmp_path: Path, differences: list[str], said: str
) -> None:
    compared = {"when": "after the rollback", "facts": 320, "differences": differences}
    acts = [act(compared=compared), act()]
    told = summary.run(report(tmp_path, acts=acts, command="rehearse"))
    assert told.endswith(f"Rolled back and compared: {said}")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.RolledBack("x"), "was rolled back. Compared with before: identical. 1 of 4"),
        (errors.Stuck("x"), "Stuck at mysql.cutover: manual repair is needed."),
        (errors.Waiting("x"), "Waiting for you at mysql.cutover;"),
        (errors.Unreachable("x"), "The host cannot be reached; it undoes by itself"),
        (errors.Locked("x"), "Another run holds the lock."),
        (errors.Interrupted("x"), "Interrupted at mysql.cutover."),
        (errors.Refused("no room"), "Refused at mysql.cutover: no room."),
    ],
)
def test_each_end_has_its_sentence(tmp_path: Path, error: Exception, said: str) -> None:
    assert said in summary.run(report(tmp_path, error=error))


def test_a_run_that_had_nothing_to_do_says_so(tmp_path: Path) -> None:
    nothing = report(tmp_path, acts=[act()])
    assert summary.run(nothing).startswith("No step was left to apply.")
    assert summary.run({**nothing, "command": "rollback"}).startswith("There was nothing to undo")


def test_a_run_that_ended_before_its_first_act_has_only_its_end(tmp_path: Path) -> None:
    ended = {"code": 1, "word": "refused", "what": "bad key"}
    assert summary.run({"command": "apply", "acts": [], "end": ended}) == "Refused: bad key."
