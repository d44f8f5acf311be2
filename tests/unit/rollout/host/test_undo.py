"""Undo on the small host: of a step that fails, and of one that is rolled back later."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from rollout.errors import Refused, RolledBack, Stuck
from rollout.plan.step import use
from tests.unit.rollout import small_host
from tests.unit.rollout.lab import GATE, Lab, start, until
from tests.unit.rollout.small_host import SAMPLE, typed


def test_a_failing_command_is_undone_last_first_itself_included(lab: Lab) -> None:
    broken = lab.makes("b", then="echo no luck >&2; exit 5")
    runner = lab.runner(lab.step("one", lab.makes("a"), broken, lab.makes("c")))
    with pytest.raises(RolledBack, match=r"command 2 of 3 failed, exit code 5") as caught:
        runner.apply()
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
    assert not lab.path("a").exists()
    assert lab.host.state("001-one") == "undone"
    assert "no luck" in caught.value.evidence
    assert runner.results[0].outcome == "rolledback"
    assert lab.host.read("001-one", "differences") == ""


def test_a_command_that_fails_in_the_middle_of_its_own_text_stops_there(lab: Lab) -> None:
    broken = lab.makes("a", then=f"false; touch {lab.path('more')}")
    with pytest.raises(RolledBack):
        lab.runner(lab.step("one", broken)).apply()
    assert not lab.path("more").exists()


def test_an_undo_that_fails_does_not_keep_the_others_from_running(lab: Lab) -> None:
    mended = lab.host.where / "mended"
    bad = lab.makes("b", undo=f"test -e {mended}; rm -f {lab.path('b')}")
    steps = (lab.step("one", lab.makes("a"), bad, lab.makes("c", then="false")),)
    with lab.runner(*steps) as runner, pytest.raises(Stuck, match="the undo of 002 failed"):
        runner.apply()
    assert lab.acts == ["do-a", "do-b", "do-c", "undo-c", "undo-b", "undo-a"]
    assert lab.host.state("001-one") == "stuck"
    assert not lab.path("a").exists()
    with lab.runner(*steps) as again, pytest.raises(Stuck):
        again.apply()
    assert lab.acts[6:] == [], "a step that is stuck was run or undone without being told to"
    mended.touch()
    with lab.runner(*steps) as back:
        back.rollback()
    assert lab.acts[6:] == ["undo-b", "undo-a"]
    assert lab.host.state("001-one") == "undone"


def test_an_undo_that_leaves_something_behind_is_not_called_undone(lab: Lab) -> None:
    litter = lab.makes("b", undo="true")
    with pytest.raises(Stuck, match="the host is not as before"):
        lab.runner(lab.step("one", litter, lab.makes("c", then="false"))).apply()
    assert str(lab.path("b")) in lab.host.read("001-one", "differences")


@pytest.fixture
def elsewhere(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Path:
    """[base] jails of the site file, which is not /usr/jails."""
    jails = lab.root / "srv/the jails"
    jails.mkdir(parents=True)
    base = SAMPLE.base.model_copy(update={"jails": str(jails)})
    monkeypatch.setattr(small_host, "SAMPLE", SAMPLE.model_copy(update={"base": base}))
    return jails


def test_what_is_left_among_the_jails_is_seen_wherever_they_are(lab: Lab, elsewhere: Path) -> None:
    litter = lab.makes("b", then=f"mkdir '{elsewhere}/web'")
    with pytest.raises(Stuck, match="the host is not as before"):
        lab.runner(lab.step("one", litter, lab.makes("c", then="false"))).apply()
    assert f"path {elsewhere}/web" in lab.host.read("001-one", "differences")


def test_the_trees_of_jails_are_on_the_disk_wherever_they_are(lab: Lab, elsewhere: Path) -> None:
    synced = lab.where("synced")
    fsync = lab.host.bin / "fsync"
    fsync.write_text(f'{fsync.read_text()}printf "%s\\n" "$@" >> {synced}\n')
    made = lab.makes("b", then=f"mkdir '{elsewhere}/web'; touch '{elsewhere}/web/fstab'")
    lab.runner(lab.step("one", made)).apply()
    for each in (elsewhere, elsewhere / "web", elsewhere / "web/fstab"):
        assert str(each) in synced.read_text().splitlines()


def test_a_command_over_its_limit_is_killed_with_its_children_and_undone(lab: Lab) -> None:
    late = lab.host.where / "late"
    hangs = lab.makes("b", then=f"(sleep 3; touch {late}) & sleep 60", limit=1)
    before = time.monotonic()
    with pytest.raises(RolledBack, match="command 2 of 2 failed"):
        lab.runner(lab.step("one", lab.makes("a"), hangs)).apply()
    assert time.monotonic() - before < 20
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
    assert "took longer than 1 s: killed" in lab.host.log("001-one")
    assert lab.host.pids("sleep", "60") == []
    time.sleep(max(0.0, 4 - (time.monotonic() - before)))
    assert not late.exists(), "a child went on acting after the undo"


def test_a_child_born_while_its_parents_are_being_killed_dies_with_them(lab: Lab) -> None:
    late, looked = lab.where("late"), lab.where("looked")
    ps = lab.host.bin / "ps"
    slow = f"case $1 in -axo) touch {looked}; sleep 0.3 ;; esac"
    ps.write_text(f'#!/bin/sh\n/bin/ps "$@" || exit\n{slow}\n')
    ps.chmod(0o755)
    waits = f"until [ -e {looked} ]; do sleep 0.05; done; (sleep 2; touch {late}) & sleep 60"
    with pytest.raises(RolledBack, match="command 1 of 1 failed"):
        lab.runner(lab.step("one", lab.makes("a", then=waits, limit=1))).apply()
    time.sleep(2)
    assert not late.exists(), "a child went on acting after the undo"


def test_the_limit_of_a_run_that_was_killed_kills_nobody(lab: Lab) -> None:
    """By then another process may have the pid; the undo stops what the run left behind."""
    made = start(lab.runner(lab.step("one", lab.makes("a", then="sleep 73", limit=2))))
    until(lambda: bool(lab.host.pids("sleep", "73")))
    assert lab.host.kill("host.sh", "guard")  # it would undo the step, and end the command first
    os.kill(int(lab.host.read(made, "run.pid")), signal.SIGKILL)
    time.sleep(2.5)
    assert lab.host.pids("sleep", "73")
    assert "took longer" not in lab.host.log(made)


def test_an_undo_over_its_limit_is_killed_and_the_others_go_on(lab: Lab) -> None:
    hangs = lab.makes("b", undo=f"rm -f {lab.path('b')}; sleep 60", limit=1)
    with pytest.raises(Stuck, match="the undo of 002 failed"):
        lab.runner(lab.step("one", lab.makes("a"), hangs, lab.makes("c", then="false"))).apply()
    assert lab.acts[-2:] == ["undo-b", "undo-a"]


def test_a_daemon_that_a_command_leaves_behind_is_not_killed_by_its_limit(lab: Lab) -> None:
    """What an rc script starts must outlive it."""
    starts = lab.makes("a", then="daemon -f sleep 71; sleep 0.2", limit=1)
    lab.runner(lab.step("one", starts)).apply()
    time.sleep(1.2)
    assert lab.host.pids("sleep", "71")


def test_checks_that_fail_take_the_step_back(lab: Lab) -> None:
    one = lab.step("one", lab.makes("a"))
    two = lab.step("two", lab.makes("b"), wants="nosuch")
    runner = lab.runner(one, two)
    with pytest.raises(RolledBack, match="1 of 2 checks failed; it was rolled back") as caught:
        runner.apply()
    assert "nosuch is missing" in caught.value.evidence
    assert lab.acts == ["do-a", "do-b", "undo-b"]
    assert (lab.host.state("001-one"), lab.host.state("002-two")) == ("confirmed", "undone")


def test_a_step_that_was_undone_can_be_run_again(lab: Lab) -> None:
    once = lab.makes("a", then=f"test -e {lab.host.where}/mended")
    steps = (lab.step("one", once),)
    with lab.runner(*steps) as first, pytest.raises(RolledBack):
        first.apply()
    (lab.host.where / "mended").touch()
    with lab.runner(*steps) as second:
        second.apply()
    assert lab.host.state("001-one") == "confirmed"
    assert len(list((lab.host.journal / "history").iterdir())) == 1, "the first try was forgotten"


def test_a_before_image_is_there_before_the_command_and_for_the_undo(lab: Lab) -> None:
    path = lab.path("my conf")
    path.write_text("before\n")
    path.chmod(0o640)
    changed = use(
        typed,
        do=f"cmp '{path}' \"$KEEP/1\"; echo after > '{path}'; chmod 600 '{path}'; false",
        undo=f"cp -p \"$KEEP/1\" '{path}'",
        keep=(str(path), str(lab.path("absent"))),
    )
    with pytest.raises(RolledBack, match=r"failed \(1\)"):
        lab.runner(lab.step("one", changed)).apply()
    assert path.read_text() == "before\n"
    assert f"{path.stat().st_mode & 0o777:o}" == "640"
    assert "before/001/2" not in " ".join(
        str(each) for each in (lab.host.journal / "steps").rglob("*")
    )


def test_a_command_leaves_its_undo_a_word_beside_the_before_images(lab: Lab) -> None:
    noted = use(typed, do='echo a word > "$KEEP/word"; false', undo='cat "$KEEP/word"')
    with pytest.raises(RolledBack, match=r"failed \(1\)"):
        lab.runner(lab.step("one", noted)).apply()
    assert "a word" in (lab.host.journal / "steps/001-one/log").read_text()


def test_what_a_command_prints_does_not_hang_on_the_login(lab: Lab) -> None:
    told = use(typed, do='echo "[$LC_ALL]"; false', undo=":")
    with pytest.raises(RolledBack, match=r"failed \(1\)"):
        lab.runner(lab.step("one", told)).apply()
    assert "[C]" in (lab.host.journal / "steps/001-one/log").read_text()


def test_without_its_before_image_a_command_is_not_run(lab: Lab) -> None:
    folder = lab.path("folder")
    folder.mkdir()
    with pytest.raises(RolledBack, match="before-image failed"):
        lab.runner(lab.step("one", lab.makes("a"), lab.makes("b", keep=(str(folder),)))).apply()
    assert "do-b" not in lab.acts
    assert lab.acts[-1] == "undo-a"


def test_a_rollback_undoes_last_first_and_asks_the_checks_of_before(lab: Lab) -> None:
    steps = (
        lab.step("one", lab.makes("a"), wants="a"),
        lab.step("two", lab.makes("b"), lab.makes("c"), wants="c"),
        lab.step("three", lab.makes("d"), wants="d"),
    )
    with lab.runner(*steps) as forward:
        forward.apply()
    with lab.runner(*steps) as back:
        back.rollback(to="one")
    assert lab.acts[4:] == ["undo-d", "undo-c", "undo-b"]
    assert [(r.step, r.outcome, r.passed) for r in back.results] == [
        ("three", "undone", 2),
        ("two", "undone", 1),
    ]
    with lab.runner(*steps) as rest:
        rest.rollback()
    assert lab.acts[7:] == ["undo-a"]
    with lab.runner(*steps) as nothing:
        nothing.rollback()
    assert nothing.results == []
    assert lab.acts[8:] == []


def test_a_point_of_no_return_is_not_gone_back_over(lab: Lab) -> None:
    final = lab.step("final", lab.makes("b"), gate=GATE, point_of_no_return=True)
    steps = lab.step("one", lab.makes("a")), final, lab.step("after", lab.makes("c"))
    with lab.runner(*steps, yes=True) as forward:
        forward.apply()
    with lab.runner(*steps) as back, pytest.raises(Refused, match="final was a point of no return"):
        back.rollback()
    assert len(lab.acts) == 3, "something was undone before it was refused"
    with lab.runner(*steps) as back:
        back.rollback(to="final")
    assert lab.acts[3:] == ["undo-c"]


def test_the_way_back_is_open_under_another_plan_of_the_same_site(lab: Lab) -> None:
    """The host itself has every undo."""
    with lab.runner(lab.step("one", lab.makes("a"))) as forward:
        forward.apply()
    other = lab.step("one", lab.makes("a"), lab.makes("more"))
    with lab.runner(other) as refused, pytest.raises(Refused, match="no longer describes"):
        refused.apply()
    with lab.runner(other) as back:
        back.rollback()
    assert lab.acts == ["do-a", "undo-a"]


def test_undone_twice_is_right(lab: Lab) -> None:
    with lab.runner(lab.step("one", lab.makes("a"))) as runner:
        runner.apply()
    assert lab.host.ask("undo").returncode == 0
    assert lab.host.ask("undo").returncode == 0
    again = lab.host.ask("start-undo", "001-one", "again")
    assert (again.returncode, lab.host.state("001-one")) == (1, "undone")
    assert "nothing to undo" in again.stderr
    assert lab.acts == ["do-a", "undo-a"]


def test_a_person_with_nothing_at_hand_takes_everything_back(lab: Lab) -> None:
    steps = lab.step("one", lab.makes("a"), lab.makes("b")), lab.step("two", lab.makes("c"))
    with lab.runner(*steps) as runner:
        runner.apply()
    done = lab.host.ask("undo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["undoing 002-two", "undoing 001-one"]
    assert lab.acts[3:] == ["undo-c", "undo-b", "undo-a"]
    assert lab.host.state("001-one") == lab.host.state("002-two") == "undone"


def test_an_undo_by_hand_stops_where_it_is_stuck(lab: Lab) -> None:
    steps = lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b", undo="exit 9"))
    with lab.runner(*steps) as runner:
        runner.apply()
    done = lab.host.ask("undo")
    assert done.returncode == 3
    assert "002-two is stuck: see" in done.stderr
    assert (lab.host.state("001-one"), lab.host.state("002-two")) == ("confirmed", "stuck")


def test_an_undo_by_hand_that_gets_through_after_all_leaves_no_word_of_being_stuck(
    lab: Lab,
) -> None:
    hinder = lab.where("hinder")
    hinder.touch()
    undo = f"test ! -e {hinder}; rm -f {lab.path('a')}"
    with lab.runner(lab.step("one", lab.makes("a", undo=undo))) as runner:
        runner.apply()
    assert lab.host.ask("undo").returncode == 3
    assert "001" in lab.host.read("001-one", "stuck")
    hinder.unlink()
    assert lab.host.ask("undo").returncode == 0
    assert (lab.host.state("001-one"), lab.host.read("001-one", "stuck")) == ("undone", "")


def test_an_undo_by_hand_does_not_cut_into_a_run(lab: Lab) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a", then="sleep 1.5")))
    name = start(runner)
    until(lambda: "do-a" in lab.acts)
    refused = lab.host.ask("undo")
    assert refused.returncode == 1
    assert "is being applied right now" in refused.stderr
    assert lab.host.wait(name, "applied") == "applied"


def test_what_others_changed_since_stays_and_is_allowed_for(lab: Lab) -> None:
    """Others keep working on the host between a step and its undo."""
    (lab.root / "etc/rc.conf").write_text('theirs="1"\ngone="1"\n')
    lab.path("kept").write_text("x")
    lab.path("lost").touch()
    with lab.runner(lab.step("one", lab.makes("a"))) as runner:
        runner.apply()
    (lab.root / "etc/rc.conf").write_text('theirs="2"\nmore="1"\n')
    lab.path("kept").write_text("theirs")
    lab.path("new").touch()
    lab.path("lost").unlink()
    (lab.host.where / "model" / "rules").write_text("00100 allow ip from any to any\n")
    done = lab.host.ask("undo")
    assert done.returncode == 0, lab.host.read("001-one", "differences")
    assert lab.host.state("001-one") == "undone"
    assert lab.path("kept").read_text() == "theirs"


def test_a_file_of_ours_that_somebody_took_over_is_told_and_not_lost(lab: Lab) -> None:
    """Its undo is skipped there; the host is as before except for the foreign file."""
    guarded = lab.makes("a", undo=f"test ! -s {lab.path('a')} && rm -f {lab.path('a')}")
    with lab.runner(lab.step("one", guarded)) as runner:
        runner.apply()
    lab.path("a").write_text("theirs")
    assert lab.host.ask("undo").returncode == 3
    assert lab.path("a").read_text() == "theirs"


@pytest.mark.parametrize("by_hand", [False, True], ids=["rollback", "by hand"])
def test_what_was_taken_back_too_early_is_taken_back_again_after_what_failed(
    lab: Lab, by_hand: bool
) -> None:
    """`set enable` before `set disable` would leave it disabled, and the step stuck for good."""
    well = lab.where("well")
    b = lab.makes("b", undo=f"test -e {well} && rm -f {lab.path('b')}")
    with lab.runner(lab.step("one", lab.makes("a"), b, lab.makes("c"))) as runner:
        runner.apply()
        with pytest.raises(Stuck):
            runner.rollback()
    assert lab.acts[3:] == ["undo-c", "undo-b", "undo-a"]
    well.touch()
    if by_hand:
        assert lab.host.ask("undo").returncode == 0
    else:
        with lab.runner(*runner.plan.steps) as again:
            again.rollback()
    assert lab.host.state("001-one") == "undone"
    assert lab.acts[6:] == ["undo-b", "undo-a"]
