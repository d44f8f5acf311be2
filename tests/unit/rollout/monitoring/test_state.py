"""What is told of a watch: the new, once, again after a while, and what is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollout import site
from rollout.errors import Refused
from rollout.monitoring import state
from rollout.monitoring.finding import KINDS, Finding, Looked, ordered
from rollout.monitoring.state import Changes, State
from rollout.site import Site

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
JAIL = Finding("jail/web", "the jail web does not run")
DISK = Finding("disk/var", "the file system /var is nearly full")
DRIFT = Finding("drift", "others changed 1 thing", detail="a")


def watching(**more: object) -> Site:
    table = SAMPLE.watch.model_copy(update=more)
    return SAMPLE.model_copy(update={"watch": table})


def compared(
    before: State, *found: Finding, hours: float = 0, asked: set[str] | None = None, **more: object
) -> Changes:
    looked = Looked(found, frozenset(KINDS if asked is None else asked))
    return state.compare(watching(**more), before, looked, NOON + timedelta(hours=hours))


def test_what_is_new_is_told_once() -> None:
    first = compared({}, JAIL, DISK)
    assert (first.new, first.again, first.over) == ((JAIL, DISK), (), {})
    second = compared(first.after, JAIL, DISK, hours=23.9)
    assert not second.any
    assert second.open == {JAIL: NOON, DISK: NOON}


def test_it_is_told_again_after_a_day_and_then_a_day_later() -> None:
    first = compared({}, JAIL)
    second = compared(first.after, JAIL, hours=24)
    assert (second.new, second.again) == ((), (JAIL,))
    assert second.open == {JAIL: NOON}
    assert not compared(second.after, JAIL, hours=47).any
    assert compared(second.after, JAIL, hours=48).again == (JAIL,)


def test_without_hours_it_is_never_told_again() -> None:
    assert not compared(compared({}, JAIL).after, JAIL, hours=9000, again_hours=0).any
    assert compared(compared({}, JAIL).after, JAIL, hours=2, again_hours=1).again == (JAIL,)


def test_what_is_over_is_told_once() -> None:
    first = compared({}, JAIL, DISK)
    second = compared(first.after, DISK, hours=1)
    assert set(second.over) == {"jail/web"}
    assert (second.new, second.open) == ((), {DISK: NOON})
    third = compared(second.after, DISK, hours=2)
    assert not third.any
    back = compared(third.after, JAIL, DISK, hours=3)
    assert back.new == (JAIL,)
    assert back.open[JAIL] == NOON + timedelta(hours=3)


def test_another_thing_under_the_same_id_is_new() -> None:
    first = compared({}, DRIFT)
    more = Finding(DRIFT.id, "others changed 2 things", detail="a, b")
    second = compared(first.after, more, hours=1)
    assert second.new == (more,)
    assert second.open == {more: NOON}
    assert not compared(second.after, more, hours=2).any


def test_other_evidence_is_not_new() -> None:
    more = Finding(DISK.id, DISK.says, evidence="98 %")
    assert not compared(compared({}, DISK).after, more).any


def test_what_could_not_be_asked_stays_as_it_was() -> None:
    first = compared({}, JAIL, DISK)
    gone = Finding("host", "the host could not be asked")
    away = compared(first.after, gone, hours=1, asked={"host"})
    assert (away.new, away.over) == ((gone,), {})
    back = compared(away.after, JAIL, hours=2)
    assert set(back.over) == {"host", "disk/var"}
    assert back.new == ()
    assert back.open == {JAIL: NOON}


def test_what_could_not_be_told_is_told_the_next_time() -> None:
    first = compared({}, JAIL)
    second = compared(first.untold, JAIL, hours=1)
    assert second.new == (JAIL,)
    assert second.open == {JAIL: NOON}
    day = compared(second.after, JAIL, hours=30)
    assert compared(day.untold, JAIL, hours=31).again == (JAIL,)
    over = compared(second.after, hours=2)
    assert set(compared(over.untold, hours=3).over) == {"jail/web"}
    assert not compared(over.after, hours=3).any


def test_what_the_site_file_ignores_is_never_told_not_even_that_it_is_over() -> None:
    first = compared({}, JAIL, DRIFT)
    second = compared(first.after, JAIL, DRIFT, ignore=("drift",))
    assert (second.any, second.open, second.ignored) == (False, {JAIL: NOON}, ("drift",))
    assert not compared(first.after, JAIL, ignore=("dri*",)).any
    odd = Finding("check/tables[a]: *", "x")
    assert compared({}, odd, ignore=("check/tables[a]*",)).new == ()
    assert compared({}, odd, ignore=("check/tables",)).new == (odd,)


def test_the_likely_cause_comes_first_and_no_id_twice() -> None:
    check = Finding("check/a", "a")
    assert ordered([DRIFT, check, DISK, JAIL, Finding("check/a", "b")]) == (
        *(JAIL, check),
        *(DISK, DRIFT),
    )


def test_a_name_of_the_host_makes_no_line_of_its_own() -> None:
    odd = "a\x1b[2J\nb\udcff"
    [found] = ordered([Finding(f"disk/{odd}", odd, odd, odd, odd)])
    assert found == Finding("disk/a?[2J?b?", *("a?[2J?b?", "a?[2J\nb?", "a?[2J?b?", "a?[2J?b?"))


def test_it_is_kept_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    place = state.place(SAMPLE)
    assert place == tmp_path / "cellblock" / "watched-dcserver-203.0.113.2.json"
    assert state.read(place) == {}
    after = compared({}, JAIL, DRIFT).after
    state.keep(place, after)
    assert state.read(place) == after
    assert [each.name for each in place.parent.iterdir()] == [place.name]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"drift": 1}', '{"drift": {"says": "x", "since": "noon"}}']
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(Refused, match="what earlier watches told cannot be read"):
        state.read(tmp_path / "state.json")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be kept there: "):
        state.keep(tmp_path / "file" / "state.json", {})
