"""The same questions put to the stand-in and to a real FreeBSD, where one is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from standin import BaseHost, StandIn
from tests.contract import recording
from tests.contract.questions import CONVERSATIONS
from tests.contract.recording import Answer, Ask, comparable
from tests.lab.guest import Guest

# Commands that the stand-in answers otherwise than a real one, and why.
DIFFERS: dict[str, str] = {}


def ask_standin(standin: StandIn) -> Ask:
    def ask(command: str) -> Answer:
        done = standin.run(command)
        return Answer(done.returncode, done.stdout, done.stderr)

    return ask


def ask_guest(guest: Guest) -> Ask:
    def ask(command: str) -> Answer:
        done = guest.sh(command)
        return Answer(done.exit, done.stdout, done.stderr)

    return ask


def compare(one: Ask, other: Ask, commands: tuple[str, ...]) -> dict[str, tuple[Answer, Answer]]:
    """Where they disagree."""
    answers = {
        command: (comparable(one(command)), comparable(other(command))) for command in commands
    }
    return {command: pair for command, pair in answers.items() if pair[0] != pair[1]}


@pytest.mark.guest
@pytest.mark.parametrize("topic", CONVERSATIONS)
def test_they_agree(fresh_guest: Guest, tmp_path: Path, topic: str) -> None:
    with StandIn.build(tmp_path / "s", BaseHost.recorded()) as standin:
        standin.boot()
        differences = compare(ask_standin(standin), ask_guest(fresh_guest), CONVERSATIONS[topic])
    known = {command for command in CONVERSATIONS[topic] if command in DIFFERS}
    unexpected = {command: pair for command, pair in differences.items() if command not in known}
    assert not unexpected
    assert known <= differences.keys(), "agrees now: take it out of DIFFERS"


@pytest.mark.guest
def test_a_real_one_still_answers_as_recorded(fresh_guest: Guest) -> None:
    ask = ask_guest(fresh_guest)
    wrong = {
        recorded.command: answer
        for recorded in recording.read()
        if comparable(answer := ask(recorded.command)) != comparable(recorded.answer)
    }
    assert not wrong


@pytest.mark.parametrize("topic", CONVERSATIONS)
def test_the_standin_finds_nothing_strange_in_them(tmp_path: Path, topic: str) -> None:
    with StandIn.build(tmp_path / "s", BaseHost.recorded()) as standin:
        standin.boot()
        for command in CONVERSATIONS[topic]:
            standin.run(command)
        # The one that asks for what does not exist says so itself.
        assert [line for line in standin.strange if "frobnicate" not in line] == []
