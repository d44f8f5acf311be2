"""The attempts on the stand-in: none succeeds, and each question would see a success."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.rehearsal.box import standin_box
from tests.breakin.play import Played, told
from tests.breakin.siege import ALL
from tests.rehearsal.sites import ordered

PLAN = ordered("egress", "bind", "policy")


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({each.name for each in ALL}) == len(ALL) > 100
    assert {each.whom for each in ALL} == {"account", "daemon", "root"}
    assert {each.lasting for each in ALL} == {True, False}


def test_few_questions_have_no_planted_success() -> None:
    unseen = [each.name for each in ALL if not each.goal.planted]
    assert sorted(unseen) == [
        "a link in the place of the logs that are shown",
        "the base remounted writable",
        "the clock",
        "the limits of others",
    ]


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    with standin_box(PLAN.site, tmp_path) as box:
        yield Played(PLAN, box, lambda text: None, quick=True)


@pytest.mark.whole
def test_no_attempt_of_a_jail_succeeds(played: Played) -> None:
    played.whole()
    lines = "\n".join(told(played))
    assert not played.wrong, lines
    assert [each.phase for each in played.phases] == ["apply", "steady state", "rollback"]
    assert played.controls >= 30, lines
    assert len({name for each in played.phases for name in each.names}) >= 35, lines


class Open(Played):
    """Gives the host's root away before the attempts are played."""

    def _steady(self) -> None:
        self.siege.sh(
            "cp /root/breakin/secret /usr/jails/bind/root/tmp/loot-pwned-bind-"
            f"{[each.name for each in ALL].index('out by ..')}-x"
        )
        super()._steady()


@pytest.mark.whole
def test_a_success_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with standin_box(PLAN.site, tmp_path) as box:
        played = Open(PLAN, box, lambda text: None, quick=True)
        monkeypatch.setattr(played.siege, "play", len)
        played.whole()
        assert "  SUCCEEDED out by .. (root of bind)" in told(played)
