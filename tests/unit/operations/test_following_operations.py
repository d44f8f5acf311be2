"""What the host's cron is told for a jail's accounts; the undo leaves nothing of it."""

from __future__ import annotations

from pathlib import Path as LocalPath

import pytest

from operations import following
from operations.command import NewFile, Reversible
from operations.facts import Path, State
from operations.logins import Drivers
from rollout import site
from tests.checks.manual.accounts import are_those_of_the_host
from tests.rehearsal.sites import SAMPLE
from tests.unit.operations.asking import typed, yielded


def made(drivers: tuple[str, ...]) -> list[NewFile | Reversible]:
    facts = {Path: State("absent"), Drivers: drivers}
    return yielded(following.followed, facts, jail="mail", text="echo followed\n", daemons=["x"])


@pytest.mark.parametrize(("drivers", "words"), [((), ""), (("pam",), " passwords")])
def test_cron_runs_it_each_minute_with_passwords_where_logins_ask_for_them(
    drivers: tuple[str, ...], words: str
) -> None:
    script, tab = (each for each in made(drivers) if isinstance(each, NewFile))
    assert (script.path, script.content) == (following.script("mail"), "echo followed\n")
    once = f"/var/run/cellblock.mail.accounts {script.path}{words}"
    assert tab.content == f"*\t*\t*\t*\t*\troot\tlockf -s -t 0 {once}\n"
    [now] = [
        each for each in made(drivers) if isinstance(each, Reversible) and "lockf" in str(each.do)
    ]
    assert now.do == f"lockf -s -t 60 {once}"


def test_the_undo_takes_away_what_the_script_has_said(tmp_path: LocalPath) -> None:
    [now] = [each for each in made(()) if isinstance(each, Reversible) and "lockf" in str(each.do)]
    told = tmp_path / "told"
    told.touch()
    undo = str(now.undo).replace(following.told("mail"), str(told))
    for _ in range(2):
        assert typed(undo, tmp_path).returncode == 0
        assert not told.exists()


@pytest.mark.parametrize(
    ("gone", "says"), [("staff", ""), ("alice", "they differ\n")], ids=["another's", "an account"]
)
def test_whoever_compares_by_hand_sees_the_accounts_of_the_range_alone(
    tmp_path: LocalPath, gone: str, says: str
) -> None:
    uids = {"root": 0, "alice": 1001, "staff": 5000}
    rows = {name: f"{name}:*:{uid}:{uid}::/home/{name}:/bin/sh\n" for name, uid in uids.items()}
    for where in ("host", "jail"):
        (tmp_path / where).mkdir()
        kept = [row for name, row in rows.items() if where == "host" or name != gone]
        (tmp_path / where / "passwd").write_text("".join(kept))
        (tmp_path / where / "group").write_text("www:*:80:\nshop:*:1500:alice,staff\n")
    [look] = are_those_of_the_host(site.read(SAMPLE), "web")
    line = str(look.line).replace("/etc/passwd /etc/group", "passwd group")
    inside = f'shift; cd {tmp_path}/jail && exec "$@"'
    assert typed(line, tmp_path / "host", jexec=inside).stdout == says
