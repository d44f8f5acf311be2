"""The connection to a host: it may end at any moment, and the step continues. On a small host."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout import plan
from rollout.engine import connection
from rollout.engine.connection import Connection
from rollout.engine.listener import Listener
from rollout.errors import Locked, Refused, RolledBack, Stuck, Unreachable
from rollout.host import bundle
from rollout.host.journal import Entry, Journal
from rollout.host.together import Result
from rollout.plan.step import Step, Use, check, use
from tests.unit.rollout.small_host import SAMPLE, Noted, SmallHost, planned, small_host, typed

TOKEN = "0123456789abcdef"  # noqa: S105 # a step's, not a secret


def made(path: Path | str) -> Use:
    """Makes an empty file, and records its removal in `undone`."""
    path = Path(path)
    return use(
        typed,
        do=f"touch {path}",
        undo=f"rm -f {path}; echo {path.name} >> {path.parent.parent.parent}/undone",
    )


def step(name: str, *operations: Use, **more: Any) -> Step:
    return Step(name, "Because.", operations, (check("file::is_there", path=f"/{name}"),), **more)


def uploaded(held: Connection, position: int = 0, token: str = TOKEN) -> tuple[str, str]:
    """The sh that uploads a step and starts it, and its directory."""
    assert isinstance(held.target, SmallHost)
    wanted = held.plan.steps[position]
    answers = bundle.gather_facts([wanted], held.session.output)
    compiled = bundle.compile_step(position + 1, wanted, answers)
    upload = bundle.upload_script(compiled, token, str(held.target.journal))
    return upload, compiled.directory


def begin(held: Connection, position: int = 0) -> str:
    """Upload a step and start it; returns its directory."""
    upload, directory = uploaded(held, position)
    held.session.output(upload)
    return directory


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHost]:
    yield from small_host(tmp_path / "h", "dash", monkeypatch)


Hold = Callable[..., Connection]


@pytest.fixture
def hold(host: SmallHost) -> Iterator[Hold]:
    """A connection to the host for these steps, which holds the lock."""
    held: list[Connection] = []

    def open_(*steps: Step, told: Listener | None = None) -> Connection:
        held.append(Connection(planned(*steps), host, told or Noted()))
        held[-1].take()
        return held[-1]

    yield open_
    for each in held:
        host.down = False
        each.close()


def slow(host: SmallHost, seconds: float = 1.5) -> Use:
    return use(
        typed,
        do=f"echo begun; sleep {seconds}; touch {host.root}/etc/slow; echo ended",
        undo=f"rm -f {host.root}/etc/slow",
    )


def test_a_step_is_followed_to_its_rest_line_by_line(host: SmallHost, hold: Hold) -> None:
    told = Noted()
    held = hold(step("a", slow(host, 0.2), made(host.root / "etc/x")), told=told)
    entry = held.follow(begin(held))
    assert (entry.directory, entry.state, entry.token) == ("001-a", "applied", TOKEN)
    assert entry.hash == held.plan.steps[0].hash
    assert 0 < entry.left <= held.plan.steps[0].confirm_within
    shown = [re.sub(r"^\S+T\S+Z ", "", line) for line in told.lines]
    assert shown[0] == "001-a: applying"
    assert shown[1].startswith("001 echo begun")
    assert shown[2:4] == ["begun", "ended"]
    assert shown[4].startswith("002 touch")
    assert shown[5:] == ["001-a: applied", "state applied"]


def test_a_step_is_started_and_followed_in_one_round_trip(host: SmallHost, hold: Hold) -> None:
    told = Noted()
    held = hold(step("a", slow(host, 0.2)), told=told)
    upload, directory = uploaded(held)
    before = held.trips
    assert held.start(upload, directory, TOKEN).state == "applied"
    assert held.trips == before + 1
    assert told.lines[-1] == "state applied", "and nothing of what is asked after it"
    undone, against = held.undo(directory, "rollback")
    assert (undone.state, against, held.trips) == ("undone", "", before + 2)


def test_a_step_that_was_not_uploaded_is_not_taken_for_an_earlier_one(
    host: SmallHost, hold: Hold
) -> None:
    held = hold(step("a", made(host.root / "etc/x")))
    upload, directory = uploaded(held)
    held.start(upload, directory, TOKEN)
    held.undo(directory, "rollback")
    again, _ = uploaded(held, token="another")  # noqa: S106 # no secret
    host.cut()
    with pytest.raises(Unreachable):
        held.start(again, directory, "another")
    assert held.start(again, directory, "another").state == "applied"


def test_a_step_goes_on_whose_connection_ends_once_it_has_begun(
    host: SmallHost, hold: Hold
) -> None:
    held = hold(step("a", slow(host)))
    upload, directory = uploaded(held)
    threading.Timer(0.6, host.cut).start()
    assert held.start(upload, directory, TOKEN).state == "applied"
    assert held.channels == 2


def test_an_upload_that_fails_is_told(host: SmallHost, hold: Hold) -> None:
    held = hold(step("a", slow(host)))
    with pytest.raises(Refused, match=r"could not be put onto .* it did not begin") as caught:
        held.start("echo no room >&2; false", "001-a", TOKEN)
    assert caught.value.evidence == "no room\n"


def test_an_undo_that_had_not_begun_when_the_connection_ended_begins_then(
    host: SmallHost, hold: Hold
) -> None:
    held = hold(step("a", made(host.root / "etc/x")))
    upload, directory = uploaded(held)
    held.start(upload, directory, TOKEN)
    host.cut()
    assert held.undo(directory, "rollback")[0].state == "undone"


def test_the_end_of_a_step_that_was_long_silent_is_told_too(host: SmallHost, hold: Hold) -> None:
    """Its state changes a moment before the log says so."""
    slowly = (
        'case $1 in steps/001-a) sleep 0.8;; esac; for each; do test -e "$each" || exit 66; done'
    )
    (host.bin / "fsync").write_text(f"#!/bin/sh\n{slowly}\n")
    told = Noted()
    held = hold(step("a", use(typed, do="sleep 6", undo=":")), told=told)
    held.follow(begin(held))
    assert [line.rpartition(" ")[2] for line in told.lines[-2:]] == ["applied", "applied"]


def test_a_step_goes_on_while_the_connection_is_gone(host: SmallHost, hold: Hold) -> None:
    told = Noted()
    held = hold(step("a", slow(host), made(host.root / "etc/x")), told=told)
    directory = begin(held)
    threading.Timer(0.4, host.cut).start()
    entry = held.follow(directory)
    assert entry.state == "applied"
    assert (host.root / "etc/slow").exists()
    [note] = told.notes
    assert "the step continues on the host" in note
    assert held.channels == 2
    assert "locked" in host.ask("status").stdout, "the new connection holds the lock"


def test_a_host_that_stays_away_is_given_up_and_what_it_does_is_told(
    host: SmallHost, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_TRY_FOR", 0.5)
    held = hold(step("a", slow(host, 0.6)))
    directory = begin(held)
    host.down = True
    host.cut()
    with pytest.raises(Unreachable) as caught:
        held.follow(directory)
    assert "the host rolls 001-a back at its deadline" in caught.value.todo
    assert host.wait(directory, "applied") == "applied"


def test_a_host_that_comes_back_is_waited_for(host: SmallHost, hold: Hold) -> None:
    held = hold(step("a", slow(host, 0.2)))
    directory = begin(held)
    host.down = True
    host.cut()
    threading.Timer(1.2, lambda: setattr(host, "down", False)).start()
    assert held.follow(directory).state == "applied"
    assert held.channels >= 3


def test_who_comes_again_and_finds_nobody_at_the_step_has_it_undone(
    host: SmallHost, hold: Hold
) -> None:
    """As after a restart in the step that installs the boot script."""
    held = hold(step("a", slow(host, 60)))
    directory = begin(held)
    host.wait(directory, "applying")
    host.kill("guard", directory)
    host.kill("run", directory)
    threading.Timer(0.4, host.cut).start()
    assert held.follow(directory).state == "undone"


def test_a_connection_that_the_host_still_holds_does_not_lock_its_own_run_out(
    host: SmallHost, hold: Hold
) -> None:
    """The network failed: sshd and its shell, which owns the lock, live until their time-out."""
    host.half_open = True
    told = Noted()
    held = hold(step("a", slow(host, 1)), told=told)
    directory = begin(held)
    threading.Timer(0.4, lambda: os.killpg(host.shells[0].pid, signal.SIGKILL)).start()
    assert held.follow(directory).state == "applied"
    assert told.notes, "the connection was not cut"


def test_a_confirm_comes_over_a_connection_of_its_own(host: SmallHost, hold: Hold) -> None:
    held = hold(step("a", made(host.root / "etc/x")))
    entry = held.follow(begin(held))
    channels, trips, shells = held.channels, held.trips, len(host.shells)
    held.confirm(entry)
    assert host.state("001-a") == "confirmed"
    assert (held.channels, held.trips) == (channels + 1, trips + 1)
    assert len(host.shells) == shells + 1
    assert host.shells[-1].poll() is not None, "the confirm's connection was left open"


def test_a_confirm_whose_answer_was_lost_was_a_confirm(
    host: SmallHost, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hold(step("a", made(host.root / "etc/x")))
    entry = held.follow(begin(held))
    shell = host.shell

    def lost() -> subprocess.Popen[bytes]:
        monkeypatch.setattr(host, "shell", shell)
        assert host.ask("confirm", "001-a", entry.token).returncode == 0
        host.down = True
        try:
            return shell()
        finally:
            host.down = False

    monkeypatch.setattr(host, "shell", lost)
    held.confirm(entry)
    assert host.state("001-a") == "confirmed"


def test_a_wrong_token_confirms_nothing(host: SmallHost, hold: Hold) -> None:
    held = hold(step("a", made(host.root / "etc/x"), confirm_within=60))
    entry = held.follow(begin(held))
    for wrong in ("", "x", TOKEN[:-1], TOKEN.upper() + "x", "*"):
        assert host.ask("confirm", "001-a", wrong).returncode != 0, wrong
        assert host.state("001-a") == "applied"
    assert host.ask("confirm", "001-a").returncode != 0
    assert host.state("001-a") == "applied"
    held.confirm(entry)
    assert host.state("001-a") == "confirmed"


def test_a_confirm_that_comes_too_late_says_so(host: SmallHost, hold: Hold) -> None:
    held = hold(step("a", made(host.root / "etc/x"), confirm_within=1))
    entry = held.follow(begin(held))
    assert host.wait("001-a", "undone") == "undone"
    with pytest.raises(RolledBack, match="the confirm came too late") as caught:
        held.confirm(entry)
    assert "no confirm came before the deadline" in caught.value.evidence
    assert not (host.root / "etc/x").exists()


def test_a_confirm_while_the_undo_is_under_way_waits_for_its_end(
    host: SmallHost, hold: Hold
) -> None:
    gone = use(typed, do=f"touch {host.root}/etc/y", undo=f"sleep 2; rm -f {host.root}/etc/y")
    held = hold(step("a", gone, confirm_within=3))
    entry = held.follow(begin(held))
    host.wait("001-a", "undoing")
    with pytest.raises(RolledBack, match="too late"):
        held.confirm(entry)
    assert host.state("001-a") == "undone"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for an operator who may have been killed."""
    monkeypatch.setattr(connection, "_LOCK_FOR", 1.0)


@pytest.mark.usefixtures("hurried")
def test_another_rollout_is_kept_out_while_this_one_lives(host: SmallHost, hold: Hold) -> None:
    first = hold(step("a", made(host.root / "etc/x")))
    with pytest.raises(Locked, match="another run holds the lock") as caught:
        hold(step("a", made(host.root / "etc/x")))
    assert "its connection is alive" in caught.value.evidence
    first.close()
    hold(step("a", made(host.root / "etc/x")))


def test_the_lock_of_a_run_that_is_gone_is_taken_over(host: SmallHost, hold: Hold) -> None:
    hold(step("a", made(host.root / "etc/x")))
    host.cut()
    assert "abandoned" in host.ask("status").stdout
    told = Noted()
    hold(step("a", made(host.root / "etc/x")), told=told)
    assert "took over the lock" in (host.journal / "log").read_text()
    assert [note for note in told.notes if note.startswith("took over the stale lock of ")]


@pytest.mark.usefixtures("hurried")
def test_an_operator_killed_while_a_step_runs_does_not_keep_the_lock(
    host: SmallHost, hold: Hold
) -> None:
    """The operator's shell on the host follows the step, and would do so to its end."""
    a = step("a", slow(host, 8))
    first = hold(a)
    directory = begin(first)
    first.close()
    shell = host.shell()
    assert shell.stdin is not None
    ours = f"sh {host.journal}/host.sh"
    shell.stdin.write(f"{ours} lock $$ other him; {ours} follow {directory}\n".encode())
    shell.stdin.flush()
    time.sleep(0.5)
    with pytest.raises(Locked):
        hold(a)
    for pipe in (shell.stdin, shell.stdout, shell.stderr):  # as the kernel does for a dead process
        if pipe is not None:
            pipe.close()
    shell.wait(timeout=4)
    hold(a)
    assert host.state(directory) == "applying"


def test_of_many_who_want_the_lock_one_gets_it(host: SmallHost, hold: Hold) -> None:
    """All of them try to take over the stale lock of a dead run."""
    hold(step("a", made(host.root / "etc/x")))
    host.cut()
    shells = [host.shell() for _ in range(6)]
    for shell in shells:
        assert shell.stdin is not None
        shell.stdin.write(
            f"sh {host.journal}/host.sh lock $$ run-$$ somebody >/dev/null; echo $?\n".encode()
        )
    for shell in shells:
        assert shell.stdin is not None
        shell.stdin.flush()
    codes = [int(shell.stdout.readline()) for shell in shells if shell.stdout is not None]
    assert sorted(codes) == [0, 6, 6, 6, 6, 6]


def test_closing_gives_the_lock_back_and_ends_the_connection(host: SmallHost, hold: Hold) -> None:
    held = hold(step("a", made(host.root / "etc/x")))
    trips = held.trips
    held.close()
    assert not (host.journal / "lock").exists()
    assert held.trips > trips, "the trips of an ended connection still count"
    assert all(shell.poll() is not None for shell in host.shells)
    held.close()


def test_closing_a_connection_that_is_gone_is_no_error(host: SmallHost, hold: Hold) -> None:
    held = hold(step("a", made(host.root / "etc/x")))
    host.cut()
    held.close()


def test_a_step_that_the_journal_does_not_have(hold: Hold, host: SmallHost) -> None:
    held = hold(step("a", made(host.root / "etc/x")))
    with pytest.raises(Refused, match="the journal has no step 009-z"):
        held.entry("009-z")


def test_a_step_whose_log_ended_before_it_rests(
    host: SmallHost, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hold(step("a", made(host.root / "etc/x")))
    left = Journal((Entry("001-a", "applying", "h"),))
    monkeypatch.setattr(held, "_followed", lambda *_: (Result(0, "", ""), left))
    with pytest.raises(Stuck, match="001-a is applying, and its log ended"):
        held.follow("001-a")


def test_a_host_that_was_never_reached_names_the_table_of_the_site_file(host: SmallHost) -> None:
    host.down = True
    held = Connection(planned(), host, Noted())
    with pytest.raises(Unreachable) as caught:
        held.connect()
    assert caught.value.code == 5
    first, *rest = str(caught.value).splitlines()
    assert "the connection was refused" in first
    assert first.endswith(f"(port {SAMPLE.host.port}; [host] in {SAMPLE.path})")
    said = "the host undoes by itself what was not confirmed; nothing was started from here"
    assert f"    {said}" in rest
    held.close()


def test_a_plan_is_not_needed_to_be_reached(host: SmallHost) -> None:
    held = Connection(planned(), host, Noted())
    assert (held.channels, held.trips) == (0, 0), "connected before anybody wanted it"
    held.connect()
    assert (held.channels, held.trips) == (1, 1)
    held.close()


__all__ = ["Hold", "SmallHost", "plan"]
