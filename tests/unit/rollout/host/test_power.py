"""After a power cut the boot undoes what was not confirmed, before anything else starts."""

from __future__ import annotations

import pytest

from tests.unit.rollout.lab import Lab, leave_applied, start, until


def reboot(lab: Lab, undoes: bool = True) -> None:
    """The power failed and came back; the tests remove what a real kernel would have lost."""
    lab.host.kill()
    done = lab.host.ask("recover")
    assert (done.returncode, done.stderr) == (0 if undoes else 1, "")


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
    reboot(lab, undoes=False)
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
    once = f"if [ ! -e {lab.path('slept')} ]; then : >{lab.path('slept')}; sleep 62; fi"
    slow = lab.makes("a", undo=f"{once}; rm -f {lab.path('a')}")
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
    reboot(lab, undoes=False)
    assert lab.acts == ["do-a", "undo-a"]


def test_what_is_begun_is_on_the_disk_before_it_is_done(lab: Lab) -> None:
    """Otherwise a power cut would leave a change whose undo is not recorded."""
    seen = f'case $1 in */progress) echo on-disk >> {lab.acts_file};; esac; test -e "$1"'
    (lab.host.bin / "fsync").write_text(f"#!/bin/sh\n{seen}\n")
    lab.runner(lab.step("one", lab.makes("a"), lab.makes("b"))).apply()
    assert lab.acts[:4] == ["on-disk", "do-a", "on-disk", "do-b"]


@pytest.mark.parametrize("left", ["be", "begun 0", "begun 00", "und"])
def test_half_a_line_in_the_progress_is_passed_over(lab: Lab, left: str) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a"), lab.makes("b", then="sleep 62")))
    name = start(runner)
    until(lambda: "do-b" in lab.acts)
    lab.host.kill()
    with (lab.host.journal / "steps" / name / "progress").open("a") as progress:
        progress.write(left)
    reboot(lab)
    assert lab.host.state(name) == "undone"
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
    assert "undone 002\nundone 001\n" in lab.host.read(name, "progress")


def test_what_an_undo_is_compared_with_is_on_the_disk_before_the_first_command(lab: Lab) -> None:
    """Otherwise a torn fingerprint after a power cut would make the undo end as stuck."""
    seen = f'case $1 in */print.before.new) echo on-disk >> {lab.acts_file};; esac; test -e "$1"'
    (lab.host.bin / "fsync").write_text(f"#!/bin/sh\n{seen}\n")
    lab.runner(lab.step("one", lab.makes("a"))).apply()
    assert lab.acts == ["on-disk", "do-a"]


def test_what_a_step_wrote_is_on_the_disk_before_it_can_be_confirmed(lab: Lab) -> None:
    """Otherwise a power cut soon after would leave a confirmed step with half of its files."""
    said = f'echo "fsync-${{each##*/}}" >> {lab.acts_file}'
    seen = f'for each; do case $each in */etc/*) {said};; esac; test -e "$each" || exit 66; done'
    (lab.host.bin / "fsync").write_text(f"#!/bin/sh\n{seen}\n")
    (lab.root / "etc" / "others").touch()
    lab.runner(lab.step("one", lab.makes("a"), lab.makes("b"))).apply()
    assert (lab.acts[:2], sorted(lab.acts[2:])) == (["do-a", "do-b"], ["fsync-a", "fsync-b"])
