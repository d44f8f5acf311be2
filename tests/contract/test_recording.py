"""Each command of the recording of a real FreeBSD 13.2, run on the stand-in in the same order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from standin import BaseHost, StandIn
from tests.contract import recording
from tests.contract.recording import Answer, Recorded, comparable

# Commands whose output differs on the stand-in, and why. Remove a command from this table once it
# agrees.
DIFFERS: dict[str, str] = {}
RECORDED = recording.read()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Answer]]:
    """Run all in order, since each leaves the host in the state that the next one expects."""
    place = tmp_path_factory.mktemp("contract") / "standin"
    with StandIn.build(place, BaseHost.recorded()) as standin:
        standin.boot()
        found = {}
        for number, recorded in enumerate(RECORDED):
            done = standin.run(recorded.command)
            found[number] = Answer(done.returncode, done.stdout, done.stderr)
        yield found


@pytest.mark.parametrize(
    ("number", "recorded"),
    list(enumerate(RECORDED)),
    ids=[f"{number}-{recorded.command[:40]}" for number, recorded in enumerate(RECORDED)],
)
def test_answers_as_freebsd_did(
    answers: dict[int, Answer], number: int, recorded: Recorded
) -> None:
    agrees = comparable(answers[number]) == comparable(recorded.answer)
    if recorded.command in DIFFERS:
        assert not agrees, "agrees now: take it out of DIFFERS"
        pytest.xfail(DIFFERS[recorded.command])
    assert comparable(answers[number]) == comparable(recorded.answer)


def test_every_difference_is_of_a_recorded_command() -> None:
    assert set(DIFFERS) <= {recorded.command for recorded in RECORDED}


def test_the_recording_is_the_whole_one() -> None:
    assert len(RECORDED) == 249
