"""The record of rehearsals, and what an apply prints about it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.errors import Refused
from rollout.plan.step import Step, use
from rollout.rehearsal import history

PLAN = plan.make(site.read(Path(__file__).parents[4] / "site.example.toml"))
STEPS = [step for step in PLAN.steps if step.operations][:3]
FREEBSD = "FreeBSD under qemu"
RELEASE = "15.0-RELEASE"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "cellblock" / "rehearsed.json"


def note(*steps: int, box: str = FREEBSD, release: str | None = RELEASE) -> None:
    history.note([STEPS[n] for n in steps], "dcserver", box, release=release)


def remarks(steps: list[Step] = STEPS, *, strict: bool = False) -> list[str]:
    return history.remarks(steps, RELEASE, strict=strict)


def test_nothing_was_rehearsed_to_begin_with() -> None:
    [told] = remarks()
    names = ", ".join(step.name for step in STEPS)
    assert told == f"WARNING: never rehearsed in their current form: {names}"


def test_strict_refuses_what_was_never_rehearsed() -> None:
    note(0, 2)
    with pytest.raises(Refused, match="1 of 3 steps were not rehearsed on FreeBSD 15") as caught:
        remarks(strict=True)
    assert (
        caught.value.evidence == f"WARNING: never rehearsed in their current form: {STEPS[1].name}"
    )
    note(1)
    remarks(strict=True)


def test_it_is_told_on_what_box_and_when(state: Path) -> None:
    note(0, 1)
    note(2, box="the stand-in", release=None)
    modelled, real = remarks()
    assert modelled == f"rehearsed on the stand-in only, not on a FreeBSD: {STEPS[2].name}"
    when = next(iter(json.loads(state.read_text()).values()))["when"]
    assert real == f"rehearsed on {FREEBSD}, last at {when}: {STEPS[0].name}, {STEPS[1].name}"


def test_the_stand_in_does_not_take_a_freebsds_place() -> None:
    note(0, 1, 2)
    note(0, 1, 2, box="the stand-in", release=None)
    [told] = remarks()
    assert told.startswith(f"rehearsed on {FREEBSD}")


def test_another_release_does_not_count() -> None:
    note(0, 1, 2, release="13.2-RELEASE")
    note(0, 1, box="the stand-in", release=None)
    note(0, 1)
    other, real = remarks()
    told = "WARNING: rehearsed on FreeBSD 13.2-RELEASE only, and this host runs 15.0-RELEASE"
    assert other == f"{told}: {STEPS[2].name}"
    assert real.startswith(f"rehearsed on {FREEBSD}, last at ")
    with pytest.raises(Refused, match="1 of 3 steps"):
        remarks(strict=True)


def test_the_stand_in_is_not_enough_for_strict() -> None:
    note(0, 1, 2, box="the stand-in", release=None)
    with pytest.raises(Refused, match="3 of 3 steps"):
        remarks(strict=True)


def test_a_patch_level_is_no_other_release() -> None:
    assert history.release_of("15.0-RELEASE-p5\n") == history.release_of("15.0-RELEASE")
    assert history.release_of("14.4-STABLE") == "14.4-STABLE"


def test_a_step_that_was_changed_since_counts_as_new() -> None:
    note(0, 1, 2)
    changed = [
        replace(STEPS[0], operations=(*STEPS[0].operations, use(STEPS[1].operations[0].operation))),
        replace(STEPS[1], checks=STEPS[1].checks[1:]),
        replace(STEPS[2], why="said in other words"),
    ]
    told = remarks(changed)[0]
    assert (
        told == f"WARNING: never rehearsed in their current form: {STEPS[0].name}, {STEPS[1].name}"
    )


def test_what_stands_before_a_step_does_not_change_it() -> None:
    sample = PLAN.site
    other = plan.make(
        sample.model_copy(update={"order": (*sample.order[:3], "mysql"), "name": "another"})
    )
    here, there = PLAN.position("base"), other.position("base")
    assert history.content(PLAN.steps[here]) == history.content(other.steps[there])


def test_a_record_that_is_none_is_refused(state: Path) -> None:
    state.parent.mkdir()
    state.write_text("[]")
    with pytest.raises(Refused, match="cannot be read") as caught:
        remarks()
    assert str(state) in caught.value.what
