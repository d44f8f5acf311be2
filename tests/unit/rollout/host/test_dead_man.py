"""Without a confirm, or when the run is killed, the host undoes the step by itself."""

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


def test_at_the_deadline_nothing_is_looked_at_before_the_first_undo(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is cut off only waits for its undo: the fingerprint exists already."""
    find = lab.host.bin / "find"
    word = f"$(ls {lab.host.journal}/steps/001-one | grep state)"
    looks = f'case "$*" in *sha256*) echo print-{word} >> {lab.acts_file} ;; esac'
    find.write_text(find.read_text().replace("\n", f"\n{looks}\n", 1))
    step = lab.step("one", lab.makes("a"), confirm_within=3)
    leave_applied(lab, step, monkeypatch=monkeypatch)
    assert lab.host.wait("001-one", "undone", "stuck") == "undone"
    assert lab.acts == [
        "print-state.applying",
        "do-a",
        "print-state.applying",
        "print-state.applied",
        "undo-a",
        "print-state.undoing",
    ]


def test_what_was_looked_at_near_the_deadline_is_forgotten_with_a_confirm(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a rollback would take later foreign changes for the step's own."""
    step = lab.step("one", lab.makes("a"), confirm_within=9)
    leave_applied(lab, step, monkeypatch=monkeypatch)
    there = lab.host.journal / "steps" / "001-one"
    until(lambda: any(there.glob("print.[0-9]*[0-9]")))
    token = lab.host.read("001-one", "token").strip()
    assert lab.host.ask("confirm", "001-one", token).returncode == 0
    until(lambda: not lab.host.pids("guard", "001-one"))
    assert not any(there.glob("print.[0-9]*"))
    lab.path("theirs").touch()
    lab.host.ask("undo")
    assert lab.host.state("001-one") == "undone", lab.host.read("001-one", "differences")


RACES = 8


def test_confirm_and_expiry_race_and_exactly_one_wins(lab: Lab) -> None:
    """RACES times: the deadline passes for the guard just as the confirm arrives."""
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
    """As the out-of-memory killer may do: no process is left on the host to undo the step."""
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


def test_a_run_that_is_killed_before_its_first_command_leaves_nothing_to_compare(
    lab: Lab,
) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a")))
    at_its_fingerprint = 'case "$*" in *sha256*) sleep 60 ;; esac'
    (lab.host.bin / "find").write_text(f"#!/bin/sh\n{at_its_fingerprint}\n")
    name = start(runner)
    until(lambda: bool(lab.host.pids("sleep", "60")))
    os.kill(int(lab.host.read(name, "run.pid")), signal.SIGKILL)
    assert lab.host.wait(name, "undone", "stuck") == "undone"
    assert lab.acts == []


def test_a_run_that_is_killed_at_its_last_fingerprint_leaves_no_half_of_one(lab: Lab) -> None:
    find, hangs = lab.host.bin / "find", lab.where("hangs")
    slow = f'case "$*" in *sha256*) if [ -e {hangs} ]; then sleep 60; fi ;; esac'
    find.write_text(find.read_text().replace("\n", f"\n{slow}\n", 1))
    back = f"rm {hangs} {lab.path('a')}"
    runner = lab.runner(lab.step("one", lab.makes("a", then=f"touch {hangs}", undo=back)))
    name = start(runner)
    until(lambda: bool(lab.host.pids("sleep", "60")))
    os.kill(int(lab.host.read(name, "run.pid")), signal.SIGKILL)
    assert lab.host.wait(name, "undone", "stuck") == "undone"
    assert lab.acts == ["do-a", "undo-a"]


def test_a_guard_of_a_run_that_never_began_owes_nothing(lab: Lab) -> None:
    """And a run that starts later finds no guard, but a state from which it may start."""
    runner = lab.runner(lab.step("one", lab.makes("a")))
    name = start(runner)
    lab.host.wait(name, "applied")
    assert lab.host.pids("guard", name), "no guard watches the deadline"


def test_a_run_whose_pid_is_somebody_elses_by_now_has_ended(lab: Lab) -> None:
    """After a restart that the script at boot did not see, as before the step that brings it."""
    runner = lab.runner(lab.step("one", lab.makes("a"), lab.makes("b", then="sleep 61")))
    name = start(runner)
    until(lambda: "do-b" in lab.acts)
    lab.host.kill("guard", name)
    lab.host.kill("run", name)
    (lab.host.journal / "steps" / name / "run.pid").write_text(f"{os.getpid()}\n")
    assert lab.host.ask("arm", name).returncode == 0
    assert lab.host.wait(name, "undone", "stuck") == "undone"
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
