"""A rehearsal compares the host with before, and a planted difference makes it fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollout import plan, site
from rollout.box import Box
from rollout.errors import Refused, RolledBack, Stuck
from rollout.rehearsal import Rehearsal
from rollout.told import Told
from tests.unit.rollout.unreachable import Nowhere

PLAN = plan.make(site.read(Path(__file__).parents[3] / "site.example.toml"))
BEFORE = ["address lo0 127.0.0.1", "line /etc/rc.conf sshd_enable=YES", "service named runs"]


class Notes(Told):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Staged(Rehearsal):
    """Acts are noted instead of played; `ends` says what becomes of each."""

    def __init__(self, where: Path, ends: dict[str, Exception] | None = None) -> None:
        self.broken_at: list[str] = []
        self.notes = Notes()
        box = Box(Nowhere(), Nowhere(), (), None, self.broken_at.append)
        super().__init__(PLAN, box, self.notes, where)
        self.played: list[str] = []
        self.ends = ends or {}
        self.now = [list(BEFORE)]

    def commands(self, position: int) -> int:
        return 5

    def fingerprint(self) -> list[str]:
        return self.now.pop(0) if len(self.now) > 1 else self.now[0]

    def _act(self, name: str, run: Callable[..., Any]) -> None:
        self.played.append(name)
        for start, error in self.ends.items():
            if name.startswith(start):
                raise error

    def _verify(self) -> None:
        self.played.append("verify")


def test_all_of_it_is_forward_back_compared_and_forward_again(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path)
    rehearsal.whole()
    assert rehearsal.played == ["apply", "verify", "rollback", "apply again", "verify"]
    [note] = rehearsal.notes.notes
    assert note == "after the rollback the host is as before: 3 facts compared, none differs"


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ([*BEFORE, "rule 500 allow ip"], "+rule 500 allow ip"),
        (BEFORE[1:], "-address lo0 127.0.0.1"),
        ([BEFORE[0], "line /etc/rc.conf sshd_enable=NO", BEFORE[2]], "+line /etc/rc.conf sshd_ena"),
    ],
    ids=["more", "less", "other"],
)
def test_a_planted_difference_is_named(tmp_path: Path, after: list[str], told: str) -> None:
    rehearsal = Staged(tmp_path)
    rehearsal.now = [BEFORE, after]
    with pytest.raises(Stuck, match="after the rollback the host is not as before") as caught:
        rehearsal.whole()
    assert told in caught.value.evidence
    assert "apply again" not in rehearsal.played


def test_a_broken_command_is_that_of_its_step_and_number(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path, {"apply web.cutover": RolledBack("it was undone")})
    with pytest.raises(RolledBack):
        rehearsal.broken("web.cutover", 2)
    [pattern] = rehearsal.broken_at
    directory = PLAN.directory(PLAN.position("web.cutover"))
    assert pattern.endswith(f"/steps/{directory}/do/002.sh")
    assert rehearsal.played[0] == "apply"
    assert "the host is as before" in rehearsal.notes.notes[-1]


def test_a_host_that_differs_after_a_failure_is_no_clean_rollback(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path, {"apply network": RolledBack("it was undone")})
    rehearsal.now = [BEFORE, [*BEFORE, "rule 1"]]
    with pytest.raises(Stuck, match="after the failure of network the host is not as before"):
        rehearsal.broken("network", 1)


def test_a_step_that_was_to_fail_and_did_not_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(Stuck, match="network was to fail at its command 5 and did not"):
        Staged(tmp_path).broken("network", 5)


def test_a_command_that_is_not_there_cannot_be_broken(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path)
    with pytest.raises(Refused, match="network has 5 commands on this host: there is no number 6"):
        rehearsal.broken("network", 6)
    assert rehearsal.broken_at == []


def test_an_unknown_step_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    rehearsal = Staged(tmp_path)
    with pytest.raises(Refused, match="no step 'nosuch'"):
        rehearsal.broken("nosuch", 1)
    assert rehearsal.played == []
