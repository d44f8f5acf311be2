"""Nobody confirms, the run is killed, the power goes: the host undoes the step by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.unit.rollout.lab import Lab, leave_applied, start, until


def test_without_a_confirm_the_host_undoes_the_step_by_itself(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = lab.step("one", lab.makes("a"), lab.makes("b"), confirm_within=3)
    leave_applied(lab, step, monkeypatch=monkeypatch)
    assert lab.host.wait("001-one", "undone", "stuck") == "undone"
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
    assert "no confirm came before the deadline" in lab.host.read("001-one", "reason")


RACES = 8


def test_confirm_and_expiry_race_and_exactly_one_wins(lab: Lab) -> None:
    """RACES times: the guard sees the deadline pass just as the confirm comes."""
    runner = lab.runner(lab.step("one", lab.makes("a"), confirm_within=3600))
    first = start(runner, token="t")  # noqa: S106 # not a secret
    lab.host.wait(first, "applied")
    lab.host.kill("guard", first)
    steps = lab.host.journal / "steps"
    names = [f"{n:03}-race" for n in range(2, RACES + 2)]
    for name in names:
        subprocess.run(["cp", "-a", steps / first, steps / name], check=True)
        (steps / name / "deadline").write_text("0\n")
    script = f"{lab.host.bin}/sh", f"{lab.host.journal}/host.sh"
    won: list[str] = []
    for n, name in enumerate(names):
        acts = len(lab.acts)
        both = [
            subprocess.Popen([*script, *words], env=lab.host.environment, stderr=subprocess.DEVNULL)
            for words in (("guard", name), ("confirm", name, "t"))[:: 1 if n % 3 else -1]
        ]
        codes = [each.wait(timeout=60) for each in both][:: 1 if n % 3 else -1]
        state = lab.host.state(name)
        undone = lab.acts[acts:]
        if codes[1] == 0:
            assert (state, undone) == ("confirmed", []), lab.host.log(name)
        else:
            assert (state, undone) == ("undone", ["undo-a"]), lab.host.log(name)
        won.append(state)
    assert len(won) == RACES
    lab.host.kill()


def test_a_run_that_is_killed_is_undone_by_the_guard(lab: Lab) -> None:
    hangs = lab.makes("b", then="sleep 61")
    runner = lab.runner(lab.step("one", lab.makes("a"), hangs, lab.makes("c")))
    name = start(runner)
    until(lambda: "do-b" in lab.acts)
    os.kill(int(lab.host.read(name, "run.pid")), signal.SIGKILL)
    assert lab.host.wait(name, "undone", "stuck") == "undone"
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
    assert "the run ended in the middle" in lab.host.read(name, "reason")


def test_a_run_and_its_guard_both_killed_are_seen_to_by_the_next_apply(lab: Lab) -> None:
    """As the out-of-memory killer may do it: nobody is left on the host to undo the step."""
    gate = lab.where("go")
    hangs = lab.makes("b", then=f"test -e {gate} || sleep 62")
    runner = lab.runner(lab.step("one", lab.makes("a"), hangs))
    name = start(runner)
    until(lambda: "do-b" in lab.acts)
    lab.host.kill("guard", name)
    lab.host.kill("run", name)
    assert lab.host.state(name) == "applying"
    gate.touch()
    runner.apply()
    assert lab.host.state(name) == "confirmed"
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a", "do-a", "do-b"]


def test_what_a_killed_run_was_doing_does_not_go_on_behind_the_undo(lab: Lab) -> None:
    late = lab.path("late")
    runner = lab.runner(lab.step("one", lab.makes("a", then=f"sleep 4; touch {late}")))
    name = start(runner)
    until(lambda: "do-a" in lab.acts)
    os.kill(int(lab.host.read(name, "run.pid")), signal.SIGKILL)
    assert lab.host.wait(name, "undone", "stuck") == "undone"
    time.sleep(4.5)
    assert not late.exists(), "the step is undone, and its command went on and acted"


def test_a_guard_of_a_run_that_never_began_owes_nothing(lab: Lab) -> None:
    """And a run that comes after it all finds no guard, but a state that it may take."""
    runner = lab.runner(lab.step("one", lab.makes("a")))
    name = start(runner)
    lab.host.wait(name, "applied")
    assert lab.host.pids("guard", name), "nobody watches the deadline"


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


def reboot(lab: Lab) -> None:
    """The power went and came again; what a real kernel would have lost, the tests arrange."""
    lab.host.kill()
    done = lab.host.ask("recover")
    assert (done.returncode, done.stderr) == (0, "")


def test_at_boot_what_was_not_confirmed_is_undone_but_for_what_the_kernel_lost(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.runner(lab.step("one", lab.makes("a"))) as runner:
        runner.apply()
    steps = (
        lab.step("one", lab.makes("a")),
        lab.step("two", lab.makes("b"), lab.makes("c", live=True)),
    )
    leave_applied(lab, *steps, monkeypatch=monkeypatch)
    reboot(lab)
    assert lab.acts[3:] == ["undo-b"]
    assert (lab.host.state("001-one"), lab.host.state("002-two")) == ("confirmed", "undone")
    assert "restarted before the step was confirmed" in lab.host.read("002-two", "reason")
    reboot(lab)
    assert lab.acts[4:] == []


def test_at_boot_a_step_that_was_in_the_middle_is_undone(lab: Lab) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a"), lab.makes("b", then="sleep 62")))
    name = start(runner)
    until(lambda: "do-b" in lab.acts)
    reboot(lab)
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
    assert lab.host.state(name) == "undone"


def test_at_boot_an_undo_that_was_in_the_middle_goes_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = lab.makes("a", undo=f"sleep 1; rm -f {lab.path('a')}")
    step = lab.step("one", slow, lab.makes("b"), confirm_within=3)
    leave_applied(lab, step, monkeypatch=monkeypatch)
    until(lambda: "undo-a" in lab.acts)
    reboot(lab)
    assert lab.acts[2:] == ["undo-b", "undo-a", "undo-a"]
    assert lab.host.state("001-one") == "undone"


def test_at_boot_nothing_at_all_is_no_error(lab: Lab) -> None:
    with lab.runner(lab.step("one", lab.makes("a"))) as runner:
        runner.apply()
    with lab.runner(lab.step("one", lab.makes("a"))) as back:
        back.rollback()
    reboot(lab)
    assert lab.acts == ["do-a", "undo-a"]


def test_what_is_begun_is_on_the_disk_before_it_is_done(lab: Lab) -> None:
    """Or a power cut would leave something done that nobody knows to undo."""
    seen = f'case $1 in */progress) echo on-disk >> {lab.acts_file};; esac; test -e "$1"'
    (lab.host.bin / "fsync").write_text(f"#!/bin/sh\n{seen}\n")
    lab.runner(lab.step("one", lab.makes("a"), lab.makes("b"))).apply()
    assert lab.acts[:4] == ["on-disk", "do-a", "on-disk", "do-b"]
