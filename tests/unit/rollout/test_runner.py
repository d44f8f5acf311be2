"""Runs of steps and their way back, on a small host on which host.sh really runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra import host as pyinfra_host
from pyinfra.api import operation
from pyinfra.api.facts import FactBase

from operations.command import Commands, Reversible
from rollout import bundle, checks
from rollout.checks import Verdict
from rollout.errors import CellblockError, Locked, Refused, RolledBack, Stuck, Waiting
from rollout.runner import Runner
from rollout.step import Gate, Step, Use, check, use
from tests.unit.rollout.test_contact import SHELLS, Noted, SmallHost, planned, small_host, typed
from tests.unit.rollout.unreachable import Unreachable

GATE = Gate("Is it well?", ("the log",))


@pytest.fixture(params=SHELLS)
def host(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SmallHost]:
    yield from small_host(tmp_path / "h", request.param, monkeypatch)


class Nobody(Unreachable):
    def who(self, address: str, port: int, proto: str) -> str | None:
        raise AssertionError("nobody asks from outside here")


class Lab:
    """Steps on the small host: each command says in `acts` what it did."""

    def __init__(self, host: SmallHost) -> None:
        self.host = host
        self.told = Noted()
        self.root = host.root
        self.acts_file = host.where / "acts"
        self.opened: list[Runner] = []

    def runner(self, *steps: Step, yes: bool = False) -> Runner:
        runner = Runner(planned(*steps), self.host, Nobody(), self.told, lambda _: yes)
        self.opened.append(runner)
        return runner

    def path(self, name: str) -> Path:
        return self.root / "etc" / name

    def makes(self, name: str, then: str = "", undo: str = "", **more: Any) -> Use:
        act = f"echo do-{name} >> {self.acts_file}; touch {self.path(name)}"
        back = f"echo undo-{name} >> {self.acts_file}; {undo or f'rm -f {self.path(name)}'}"
        return use(typed, do=f"{act}{then and '; ' + then}", undo=back, **more)

    def step(self, name: str, *operations: Use, **more: Any) -> Step:
        wanted = more.pop("wants", "")
        asked = check("file::is_there", path=str(self.path(wanted))) if wanted else ALWAYS
        return Step(name, "Because.", operations, (asked,), **more)

    @property
    def acts(self) -> list[str]:
        return self.acts_file.read_text().split() if self.acts_file.exists() else []


ALWAYS = check("file::always")


@pytest.fixture
def lab(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    def run(wanted: Any, session: Any, site: Any, outside: Any, first: bool) -> list[Verdict]:
        verdicts = []
        for each in wanted:
            path = dict(each.values).get("path", "/")
            well = session.run(f"test -e {path}").code == 0
            verdicts.append(Verdict(each.test, well, 0.0, "" if well else f"{path} is missing"))
            if first and not well:
                break
        return verdicts

    monkeypatch.setattr(checks, "run", run)
    made = Lab(host)
    yield made
    for runner in made.opened:
        runner.__exit__()


def leave_applied(lab: Lab, *steps: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's machine dies between the run of the last step and its confirm."""

    class Died(Exception): ...

    def die(*_: Any) -> None:
        raise Died

    runner = lab.runner(*steps)
    monkeypatch.setattr(runner, "_checked", die)
    with pytest.raises(Died):
        runner.apply()
    lab.host.cut()


# Forward.


def test_steps_run_are_checked_and_confirmed(lab: Lab) -> None:
    one = lab.step("one", lab.makes("a"), lab.makes("b"), wants="b")
    two = lab.step("two", lab.makes("c"), wants="c")
    runner = lab.runner(lab.step("asks"), one, two)
    runner.apply()
    assert lab.acts == ["do-a", "do-b", "do-c"]
    assert lab.host.state("002-one") == lab.host.state("003-two") == "confirmed"
    assert lab.host.read("002-one", "progress").split("\n")[:-1] == [
        "begun 001",
        "done 001",
        "begun 002",
        "done 002",
    ]
    found = [(r.step, r.outcome, r.commands, r.passed, len(r.checks)) for r in runner.results]
    assert found == [("one", "confirmed", 2, 2, 2), ("two", "confirmed", 1, 3, 3)]
    assert runner.results == lab.told.results
    assert all(r.began <= r.ended and r.trips > 2 for r in runner.results)


def test_a_step_costs_one_new_connection_whatever_it_has_of_commands(lab: Lab) -> None:
    small = lab.step("small", lab.makes("a"))
    big = lab.step("big", *(lab.makes(f"b{n}") for n in range(12)))
    runner = lab.runner(small, big)
    runner.apply()
    costs = [(result.channels, result.trips) for result in runner.results]
    assert [channels for channels, _ in costs] == [1, 1]
    # One check more is asked after the second step.
    assert costs[1][1] - costs[0][1] == 1
    assert len(lab.host.shells) == 3


def test_states_are_told_in_their_order(lab: Lab) -> None:
    lab.runner(lab.step("one", lab.makes("a"))).apply()
    words = [line.rpartition(": ")[2] for line in lab.told.lines if "001-one: " in line]
    assert words == ["applying", "applied"]
    states = [row.split()[-1] for row in (lab.host.journal / "log").read_text().splitlines()]
    assert states == ["applying", "applied", "confirmed"]
    assert lab.told.steps == ["one: running 1 commands"]


def test_what_is_confirmed_is_not_run_again(lab: Lab) -> None:
    steps = lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b"))
    with lab.runner(*steps) as first:
        first.apply(to="one")
    with lab.runner(*steps) as second:
        second.apply()
    assert lab.acts == ["do-a", "do-b"]
    assert [result.step for result in second.results] == ["two"]


def test_a_gate_stops_the_run_before_its_step(lab: Lab) -> None:
    steps = lab.step("one", lab.makes("a")), lab.step("two", lab.makes("b"), gate=GATE)
    with lab.runner(*steps) as first, pytest.raises(Waiting, match="two waits for a yes: Is it"):
        first.apply()
    assert lab.acts == ["do-a"]
    assert [result.outcome for result in first.results] == ["confirmed", "waiting"]
    with lab.runner(*steps, yes=True) as second:
        second.apply()
    assert lab.acts == ["do-a", "do-b"]


def test_a_host_that_is_not_well_is_not_touched(lab: Lab) -> None:
    asks = lab.step("asks", wants="nosuch")
    runner = lab.runner(asks, lab.step("one", lab.makes("a")))
    with pytest.raises(Refused, match=r"is not as .* says, or not well") as caught:
        runner.apply()
    assert "nosuch is missing" in caught.value.evidence
    assert lab.acts == []
    assert not lab.host.journal.exists(), "something was written"


def test_two_runs_at_once(lab: Lab) -> None:
    steps = (lab.step("one", lab.makes("a")),)
    with lab.runner(*steps) as first:
        first.apply()
        with lab.runner(*steps) as second, pytest.raises(Locked):
            second.apply()
    assert lab.acts == ["do-a"]


def test_what_an_earlier_run_left_unconfirmed_is_checked_and_confirmed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (lab.step("one", lab.makes("a"), wants="a"),)
    leave_applied(lab, *steps, monkeypatch=monkeypatch)
    with lab.runner(*steps) as second:
        second.apply()
    assert lab.host.state("001-one") == "confirmed"
    assert lab.acts == ["do-a"]
    assert "not confirmed: checking it" in lab.told.steps[-1]


def test_what_an_earlier_run_left_running_is_waited_for(lab: Lab) -> None:
    steps = (lab.step("one", lab.makes("a", then="sleep 1.5; echo x")),)
    first = lab.runner(*steps)
    made = start(first)
    assert lab.host.wait(made, "applying") == "applying"
    lab.host.cut()
    with lab.runner(*steps) as second:
        second.apply()
    assert lab.acts == ["do-a"]
    assert lab.host.state(made) == "confirmed"
    assert any("waiting for its end" in note for note in lab.told.notes)


def start(runner: Runner, position: int = 0, token: str = "t") -> str:  # noqa: S107 # no secret
    """Upload a step and start it, and look no further; its directory."""
    assert isinstance(runner.contact.target, SmallHost)
    if not runner.contact.channels:
        runner.contact.take()
    made = runner.compiled(position)
    runner.session.output(bundle.upload_script(made, token, str(runner.contact.target.journal)))
    return made.directory


# What fails.


def test_a_failing_command_is_undone_last_first_itself_included(lab: Lab) -> None:
    broken = lab.makes("b", then="echo no luck >&2; exit 5")
    runner = lab.runner(lab.step("one", lab.makes("a"), broken, lab.makes("c")))
    with pytest.raises(RolledBack, match=r"command 002 failed \(5\)") as caught:
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
    assert lab.acts[6:] == ["undo-b"]
    assert lab.host.state("001-one") == "undone"


def test_an_undo_that_leaves_something_behind_is_not_called_undone(lab: Lab) -> None:
    litter = lab.makes("b", undo="true")
    with pytest.raises(Stuck, match="the host is not as before"):
        lab.runner(lab.step("one", litter, lab.makes("c", then="false"))).apply()
    assert str(lab.path("b")) in lab.host.read("001-one", "differences")


def test_a_command_over_its_limit_is_killed_with_its_children_and_undone(lab: Lab) -> None:
    late = lab.host.where / "late"
    hangs = lab.makes("b", then=f"(sleep 3; touch {late}) & sleep 60", limit=1)
    before = time.monotonic()
    with pytest.raises(RolledBack, match="command 002 failed"):
        lab.runner(lab.step("one", lab.makes("a"), hangs)).apply()
    assert time.monotonic() - before < 20
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
    assert "took longer than 1 s: killed" in lab.host.log("001-one")
    assert lab.host.pids("sleep", "60") == []
    time.sleep(max(0.0, 4 - (time.monotonic() - before)))
    assert not late.exists(), "a child went on acting after the undo"


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


class Content(FactBase[str]):
    """What is in a file."""

    default = str

    def command(self, path: str) -> str:
        return f"cat {path} 2>/dev/null || true"

    def process(self, output: list[str]) -> str:
        return "\n".join(output)


@operation()
def rewritten(path: str, acts: str) -> Commands:
    """Puts another text into a file, and the one that it read before back."""
    before = pyinfra_host.get_fact(Content, path=path)
    yield Reversible(
        f"echo do >> {acts}; printf %s new > {path}",
        undo=f"echo undo >> {acts}; printf %s '{before}' > {path}",
        says="rewrite it",
    )


def test_a_host_that_changed_since_the_plan_was_made_is_left_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lab.path("file")
    path.write_text("old")
    real = bundle.upload_script

    def upload(*words: Any) -> str:
        path.write_text("somebody's")
        return real(*words)

    monkeypatch.setattr(bundle, "upload_script", upload)
    changes = use(rewritten, path=str(path), acts=str(lab.acts_file))
    with pytest.raises(CellblockError, match="the host changed since the step was planned"):
        lab.runner(lab.step("one", changes)).apply()
    assert path.read_text() == "somebody's"
    assert lab.acts == []
    assert lab.host.read("001-one", "progress") == ""
    assert lab.host.state("001-one") == "undone"


@pytest.mark.parametrize("text", ["old", "", "a\\b 'x'", "gr\udcfcn"])
def test_a_host_that_did_not_change_is_not_said_to_have(lab: Lab, text: str) -> None:
    path = lab.path("file")
    path.write_bytes(text.encode(errors="surrogateescape"))
    changes = use(rewritten, path=str(path), acts=str(lab.acts_file))
    lab.runner(lab.step("one", changes)).apply()
    assert path.read_text() == "new"


def test_checks_that_fail_take_the_step_back(lab: Lab) -> None:
    one = lab.step("one", lab.makes("a"))
    two = lab.step("two", lab.makes("b"), wants="nosuch")
    runner = lab.runner(one, two)
    with pytest.raises(RolledBack, match="1 of 2 checks failed; it was undone") as caught:
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


# Before-images.


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


def test_without_its_before_image_a_command_is_not_run(lab: Lab) -> None:
    folder = lab.path("folder")
    folder.mkdir()
    with pytest.raises(RolledBack, match="before-image failed"):
        lab.runner(lab.step("one", lab.makes("a"), lab.makes("b", keep=(str(folder),)))).apply()
    assert "do-b" not in lab.acts
    assert lab.acts[-1] == "undo-a"


def test_only_root_may_read_the_journal(lab: Lab) -> None:
    path = lab.path("secret")
    path.write_text("x")
    path.chmod(0o600)
    lab.runner(lab.step("one", lab.makes("a", keep=(str(path),)))).apply()
    for each in lab.host.journal.rglob("*"):
        assert not each.stat().st_mode & 0o077, f"{each} can be read by others"
    assert not lab.path("a").stat().st_mode & 0o133, "what a command makes is not 644"


# The dead-man switch.


def test_without_a_confirm_the_host_undoes_the_step_by_itself(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = lab.step("one", lab.makes("a"), lab.makes("b"), confirm_within=3)
    leave_applied(lab, step, monkeypatch=monkeypatch)
    assert lab.host.wait("001-one", "undone", "stuck") == "undone"
    assert lab.acts == ["do-a", "do-b", "undo-b", "undo-a"]
    assert "no confirm came before the deadline" in lab.host.read("001-one", "reason")


RACES = 30


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


def test_what_a_killed_run_was_doing_does_not_go_on_behind_the_undo(lab: Lab) -> None:
    late = lab.path("late")
    runner = lab.runner(lab.step("one", lab.makes("a", then=f"sleep 4; touch {late}")))
    name = start(runner)
    until(lambda: "do-a" in lab.acts)
    os.kill(int(lab.host.read(name, "run.pid")), signal.SIGKILL)
    assert lab.host.wait(name, "undone", "stuck") == "undone"
    time.sleep(4.5)
    assert not late.exists(), "the step is undone, and its command went on and acted"


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


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


# Back.


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
    """The host has every undo itself."""
    with lab.runner(lab.step("one", lab.makes("a"))) as forward:
        forward.apply()
    other = lab.step("one", lab.makes("a"), lab.makes("more"))
    with lab.runner(other) as refused, pytest.raises(Refused, match="does not fit"):
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


def test_an_undo_by_hand_does_not_cut_into_a_run(lab: Lab) -> None:
    runner = lab.runner(lab.step("one", lab.makes("a", then="sleep 1.5")))
    name = start(runner)
    until(lambda: "do-a" in lab.acts)
    refused = lab.host.ask("undo")
    assert refused.returncode == 1
    assert "is being applied right now" in refused.stderr
    assert lab.host.wait(name, "applied") == "applied"


def test_what_others_changed_since_stays_and_is_allowed_for(lab: Lab) -> None:
    """People go on with their work between a step and its undo."""
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
    """Its undo is left out there; the host is as before but for what they made of it."""
    guarded = lab.makes("a", undo=f"test ! -s {lab.path('a')} && rm -f {lab.path('a')}")
    with lab.runner(lab.step("one", guarded)) as runner:
        runner.apply()
    lab.path("a").write_text("theirs")
    assert lab.host.ask("undo").returncode == 3
    assert lab.path("a").read_text() == "theirs"


# After a restart.


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
