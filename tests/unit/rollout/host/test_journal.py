"""The journal as host.sh prints it, and whether it belongs to this plan."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.errors import Locked, Refused
from rollout.host import journal
from rollout.host.journal import Entry, Journal, in_words
from rollout.host.session import Session
from rollout.plan import Plan
from tests.unit.rollout.lab import until
from tests.unit.rollout.small_host import STUBS

PLAN = plan.make(site.read(Path(__file__).parents[4] / "site.example.toml"))

STATUS = """\
site dcserver 0123456789abcdef
step 001-preflight 1111111111111111
step 002-base 2222222222222222
state 003-network stuck 3333333333333333
reason 003-network command 004 failed (1): load ipfw
stuck 003-network the undo of 002 003 failed
token 003-network 00ff00ff00ff00ff
state 002-base confirmed 2222222222222222
token 002-base aa55aa55aa55aa55
state 004-mysql.jail prepared 4444444444444444
locked 815 1f0a2b3c jane on desk since 2026-11-23T16:04:02Z
"""


@pytest.mark.parametrize(
    ("reason", "commands", "told"),
    [
        ("command 003 failed (1): a (b): c", 7, "command 3 of 7 failed, exit code 1: a (b): c"),
        ("command 012 failed (78): x", 0, "command 12 failed, exit code 78: x"),
        (
            "command 001 failed (before-image failed): x",
            2,
            "command 1 of 2 failed, before-image failed: x",
        ),
        ("2 checks failed", 7, "2 checks failed"),
        ("", 7, ""),
    ],
)
def test_a_command_that_failed_is_told_in_words(reason: str, commands: int, told: str) -> None:
    assert in_words(reason, commands) == told


def test_a_status_is_read_step_by_step_in_their_order() -> None:
    read = journal.parse(STATUS)
    assert read.entries == (
        Entry("002-base", "confirmed", "2" * 16, token="aa55aa55aa55aa55"),  # noqa: S106 # made up
        Entry(
            "003-network",
            "stuck",
            "3" * 16,
            reason="command 004 failed (1): load ipfw",
            stuck="the undo of 002 003 failed",
            token="00ff00ff00ff00ff",  # noqa: S106 # made up
        ),
        Entry("004-mysql.jail", "prepared", "4" * 16),
    )
    assert [entry.name for entry in read.entries] == ["base", "network", "mysql.jail"]
    assert read.site == "dcserver 0123456789abcdef"


def test_how_long_it_is_to_a_deadline_is_counted_by_the_host() -> None:
    read = journal.parse(f"{STATUS}\nleft 002-base 97\n")
    assert [entry.left for entry in read.entries] == [97, 0, 0]
    assert [entry.left for entry in journal.parse(STATUS).entries] == [0, 0, 0]


def test_the_lock_names_its_holder() -> None:
    read = journal.parse(STATUS)
    assert (read.lock, read.abandoned) == ("jane on desk since 2026-11-23T16:04:02Z", "")


def test_an_abandoned_lock_is_told_apart() -> None:
    read = journal.parse(STATUS.replace("locked ", "abandoned "))
    assert (read.lock, read.abandoned) == ("", "jane on desk since 2026-11-23T16:04:02Z")


def test_done_is_what_was_confirmed() -> None:
    read = journal.parse(STATUS)
    assert [entry.name for entry in read.done] == ["base"]
    assert read.entry("mysql.jail") is read.entries[2]
    assert read.entry("mysql") is None


def test_a_host_without_a_journal_has_an_empty_one() -> None:
    assert journal.parse("") == Journal()


@pytest.mark.parametrize("line", ["reason 009-x y", "left 002-base soon", "", "x", "state"])
def test_a_line_that_makes_no_sense_says_nothing(line: str) -> None:
    read = journal.parse(f"{STATUS}{line}\n")
    assert [entry for entry in read.entries if entry.directory] == list(
        journal.parse(STATUS).entries
    )


def entry(position: int, state: str = "confirmed", **other: str) -> Entry:
    directory = other.get("directory", PLAN.directory(position))
    return Entry(directory, state, other.get("hash", PLAN.steps[position].hash))


def refused(*entries: Entry) -> str:
    with pytest.raises(Refused) as caught:
        journal.must_fit(Journal(entries, site="dcserver ffff"), PLAN)
    return str(caught.value)


@pytest.mark.parametrize(
    "state", ["confirmed", "applied", "applying", "undoing", "stuck", "undone"]
)
def test_a_journal_of_this_plan_fits(state: str) -> None:
    journal.must_fit(Journal((entry(1), entry(2, state))), PLAN)


def test_an_empty_journal_fits() -> None:
    journal.must_fit(Journal(), PLAN)


BEGUN = ["confirmed", "applied", "applying", "undoing", "stuck"]
OTHER = "feedfeedfeedfeed"


@pytest.mark.parametrize("state", BEGUN)
def test_a_step_of_another_plan_is_named_with_its_state(state: str) -> None:
    told = refused(entry(1), entry(2, state, directory="003-postgres"))
    assert f"{PLAN.site.path} no longer describes what was done on the host" in told
    assert f"step 003-postgres is {state} on the host, and not in this plan" in told
    assert "with cellblock rollback --to base, then cellblock apply" in told


@pytest.mark.parametrize("state", BEGUN)
def test_a_step_that_would_do_something_else_now_is_named_and_how_to_go_on(state: str) -> None:
    told = refused(entry(1), entry(2, state, hash=OTHER))
    assert f"step 003-network is {state} on the host, and would do something else by" in told
    assert "step 002-base" not in told
    assert "use the site file of that run again; or take back what differs" in told


def test_if_the_first_step_differs_all_goes_back() -> None:
    assert "with cellblock rollback, then cellblock apply" in refused(entry(1, hash=OTHER))


def test_all_that_differs_is_told_at_once() -> None:
    told = refused(entry(1), entry(2, hash=OTHER), entry(3, hash=OTHER))
    assert "step 003-network" in told
    assert f"step {PLAN.directory(3)}" in told
    assert "rollback --to base" in told


def test_a_step_at_another_place_is_told_with_its_place() -> None:
    told = refused(entry(1, directory="004-base"))
    assert "step 004-base is confirmed on the host, and step 2 of this plan" in told
    assert "what is new belongs after it in order" in told


def test_a_rollback_to_a_step_that_is_elsewhere_in_the_plan_is_refused() -> None:
    """It would undo that step, too: on the host it has another number."""
    moved = Journal((entry(1, directory="004-base"), entry(2, directory="005-network")))
    with pytest.raises(Refused, match="or take back everything, with cellblock rollback"):
        journal.must_keep(moved, PLAN, PLAN.upto("base"))
    journal.must_keep(moved, PLAN, 0)
    journal.must_keep(Journal((entry(1), entry(2, hash=OTHER))), PLAN, PLAN.upto("base"))


def test_the_steps_that_are_on_the_host_as_planned() -> None:
    """Preflight has no commands: it counts without an entry."""
    assert journal.same(Journal(), PLAN) == 1
    assert journal.same(Journal((entry(1), entry(2))), PLAN) == 3
    assert journal.same(Journal((entry(1), entry(2, hash=OTHER), entry(3))), PLAN) == 2
    assert journal.same(Journal((entry(1, "undone"), entry(2))), PLAN) == 1


@pytest.mark.parametrize("state", ["undone", "prepared"])
def test_what_is_not_on_the_host_any_more_or_yet_does_not_count(state: str) -> None:
    past = [entry(1, state, hash=OTHER), entry(2, state, directory="003-postgres")]
    journal.must_fit(Journal(tuple(past)), PLAN)


@pytest.mark.parametrize("check", [journal.must_fit, journal.must_belong])
def test_the_journal_of_another_site_is_refused_by_its_name(
    check: Callable[[Journal, Plan], None],
) -> None:
    with pytest.raises(Refused, match=r"name = 'dcserver', but .* belongs to site 'other'"):
        check(Journal((entry(1),), site="other ffff"), PLAN)


def test_to_go_back_it_is_enough_that_the_journal_is_of_this_site() -> None:
    """The host itself has every undo."""
    changed = (entry(1, hash=OTHER), entry(2, directory="003-postgres"))
    journal.must_belong(Journal(changed, site="dcserver ffff"), PLAN)
    journal.must_belong(Journal(), PLAN)


def test_an_entry_knows_its_place() -> None:
    assert [each.number for each in journal.parse(STATUS).entries] == [2, 3, 4]


# Taking the lock, with host.sh itself under a shell of this machine.


@dataclass(frozen=True)
class Here:
    path: str
    name: str = "here"
    came_by: str = "198.51.100.7 50022 203.0.113.2 22"

    def shell(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        known = {"PATH": self.path, "LC_ALL": "C", "SSH_CONNECTION": self.came_by}
        return subprocess.Popen(["sh"], stdin=pipe, stdout=pipe, stderr=pipe, env=known)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """`fsync`, `lockf` and `pwait` are FreeBSD's; the journal's directory does not exist yet."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("fsync", "lockf", "pwait"):
        (bin_ / name).write_text(f"#!/bin/sh\n{STUBS[name]}\n")
        (bin_ / name).chmod(0o755)
    script = journal.host_sh()
    ours = script.replace("\nPATH=/sbin:", f"\nPATH={bin_}:/sbin:")
    assert ours != script
    monkeypatch.setattr(journal, "host_sh", lambda: ours)
    monkeypatch.setattr(journal, "JOURNAL", str(tmp_path / "db" / "cellblock"))
    return Here(f"{bin_}:{os.environ['PATH']}")


def test_reading_a_journal_that_is_not_there_writes_nothing(here: Here, tmp_path: Path) -> None:
    with Session(here) as session:
        assert journal.read(session) == Journal()
    assert not (tmp_path / "db").exists()


def test_one_step_is_read_without_the_others_and_the_lock(here: Here, tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    with Session(here) as session:
        journal.take(session, PLAN, "ours")
        for name in ("002-base", "003-network"):
            step = tmp_path / "db/cellblock/steps" / name
            step.mkdir(parents=True)
            (step / "state.confirmed").touch()
            (step / "hash").write_text("1\n")
        assert [each.name for each in journal.read(session).entries] == ["base", "network"]
        one = journal.read(session, "003-network")
    assert ([each.name for each in one.entries], one.lock, one.site) == (["network"], "", "")


def test_taking_the_lock_lays_down_the_plan_and_what_reads_it(here: Here, tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    with Session(here) as session:
        journal.take(session, PLAN, "ours")
        read = journal.read(session)
    where = tmp_path / "db" / "cellblock"
    assert where.stat().st_mode & 0o777 == 0o700
    assert (where / "host.sh").read_text() == journal.host_sh()
    rows = (where / "plan").read_text().splitlines()
    assert rows[0] == f"site dcserver {PLAN.site.hash}"
    assert rows[2] == f"step 002-base {PLAN.steps[1].hash}"
    assert len(rows) == len(PLAN.steps) + 1
    watched = (where / "watch").read_text().splitlines()
    assert {"service mysql-server", "path /var/db/mysql", "path /var/run/mysql/mysql.sock"} <= set(
        watched
    )
    assert read.site == f"dcserver {PLAN.site.hash}"
    assert " on " in read.lock


def test_who_reads_the_journal_while_another_takes_the_lock_reads_whole_files(
    here: Here, tmp_path: Path
) -> None:
    """Otherwise a fingerprint taken at that moment lacked facts, and the step became stuck."""
    names = ("host.sh", "watch", "plan")
    with Session(here) as session:
        journal.take(session, PLAN, "ours")
        where = tmp_path / "db" / "cellblock"
        before = {name: (where / name).read_text() for name in names}
        with ExitStack() as opened:
            held = {name: opened.enter_context((where / name).open()) for name in names}
            journal.release(session)
            journal.take(session, PLAN, "ours")
            assert {name: file.read() for name, file in held.items()} == before
            assert all(
                (where / name).stat().st_ino != os.fstat(held[name].fileno()).st_ino
                for name in names
            )


def test_a_lock_is_held_by_one_at_a_time_and_given_back(here: Here) -> None:
    with Session(here) as first, Session(here) as second:
        journal.take(first, PLAN, "theirs")
        with pytest.raises(Locked) as caught:
            journal.take(second, PLAN, "ours")
        assert caught.value.code == 6
        assert journal.read(second).lock in str(caught.value)
        holder = first.output("echo $$").strip()
        assert f"kill {holder} on the host" in caught.value.todo
        journal.release(second)
        assert journal.read(second).lock, "only its holder can give it back"
        journal.release(first)
        journal.take(second, PLAN, "ours")


def test_a_lock_says_from_where_its_holder_came(here: Here) -> None:
    with Session(here) as session:
        journal.take(session, PLAN, "ours")
        assert " from 198.51.100.7 since 2" in journal.read(session).lock


def test_a_lock_whose_holder_is_gone_is_taken_over(here: Here) -> None:
    with Session(here) as gone:
        journal.take(gone, PLAN, "theirs")
    with Session(here) as session:
        until(lambda: bool(journal.read(session).abandoned))
        abandoned = journal.read(session).abandoned
        assert journal.take(session, PLAN, "ours") == abandoned
        assert journal.read(session).lock
        assert journal.take(session, PLAN, "ours") == "", "nobody's but our own"


def test_taking_the_lock_again_in_the_same_session_is_no_quarrel_with_oneself(here: Here) -> None:
    with Session(here) as session:
        journal.take(session, PLAN, "ours")
        journal.release(session)
        journal.take(session, PLAN, "ours")
        assert journal.read(session).lock


def test_a_journal_that_cannot_be_written_is_refused_with_the_reason(
    here: Here, tmp_path: Path
) -> None:
    (tmp_path / "db").write_text("a file where the directory should be")
    with Session(here) as session, pytest.raises(Refused) as caught:
        journal.take(session, PLAN, "ours")
    assert "cannot be written" in str(caught.value)
    assert "mkdir" in caught.value.evidence


@pytest.mark.parametrize(
    "awk", [a for a in ("awk", "mawk", "gawk", "original-awk") if shutil.which(a)]
)
def test_what_a_failed_command_printed_is_shown_and_not_its_undo(tmp_path: Path, awk: str) -> None:
    log = tmp_path / "log"
    log.write_text(
        "011 set a\na: NO -> YES\n012 stop x\n12 tables\nlost\n"
        "2026-11-29T09:30:57Z 012 failed (1)\n"
        "012 undo: stop x\nx stopped\n011 undo: set a\n"
    )
    line = journal.shown(str(log), "command 012 failed (1): stop x")
    ran = subprocess.run(
        ["/bin/sh", "-c", line.replace("awk", awk, 1)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "012 stop x\n12 tables\nlost\n2026-11-29T09:30:57Z 012 failed (1)\n"
    assert journal.shown("log", "no confirm came") == "tail -n 15 log"
