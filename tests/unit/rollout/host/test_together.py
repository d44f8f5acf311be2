"""Calls side by side share round trips, and so do calls that one of them runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from rollout.host.together import Result, Together


class Asked:
    """Answers each command with itself; `fails` has no answer."""

    def __init__(self) -> None:
        self.trips: list[list[str]] = []
        self.together = Together(self.all)

    def all(self, commands: Sequence[str]) -> Sequence[Result | Exception]:
        self.trips.append(list(commands))
        return [OSError(each) if each == "fails" else Result(0, each, "", 1.0) for each in commands]

    def in_a_row(self, *commands: str) -> str:
        return " ".join(self.together.ask(each).out for each in commands)

    def beside(self, *rows: str) -> list[str]:
        calls = [partial(self.in_a_row, *row.split()) for row in rows]
        return self.together.beside(calls)


def test_questions_of_several_calls_go_in_one_trip_each_once() -> None:
    asked = Asked()
    ended = asked.together.run(
        [partial(asked.in_a_row, "a", "b"), partial(asked.in_a_row, "a", "c")]
    )
    assert asked.trips == [["a"], ["b", "c"]]
    assert [(each.error, each.seconds) for each in ended] == [(None, 2.0)] * 2


def test_what_a_call_asks_beside_each_other_goes_with_what_the_others_ask() -> None:
    asked, found = Asked(), list[list[str]]()
    ended = asked.together.run(
        [
            lambda: found.append(asked.beside("a b", "c", "d e f")),
            partial(asked.in_a_row, "c", "x"),
        ]
    )
    assert asked.trips == [["a", "c", "d"], ["b", "e", "x"], ["f"]]
    assert found == [["a b", "c", "d e f"]]
    assert [(each.error, each.seconds) for each in ended] == [(None, 6.0), (None, 2.0)]


def test_beside_each_other_twice_deep_and_outside_of_a_run() -> None:
    asked, found = Asked(), list[list[str]]()

    def deep() -> str:
        return "-".join(asked.beside("a b", "c"))

    asked.together.run([lambda: found.append(asked.together.beside([deep, deep]))])
    assert found == [["a b-c", "a b-c"]]
    assert asked.trips == [["a", "c"], ["b"]]
    assert asked.beside("a", "c") == ["a", "c"]


def test_an_error_is_raised_when_all_have_ended() -> None:
    asked = Asked()
    [ended, other] = asked.together.run(
        [lambda: asked.beside("a fails", "b c d"), partial(asked.in_a_row, "x")]
    )
    assert str(ended.error) == "fails"
    assert (other.error, asked.trips[-1]) == (None, ["d"])


def test_an_interrupt_ends_all() -> None:
    def stops(commands: Sequence[str]) -> Sequence[Result | Exception]:
        raise KeyboardInterrupt

    together = Together(stops)
    with pytest.raises(KeyboardInterrupt):
        together.run([lambda: together.beside([partial(together.ask, "a")])])


def test_what_was_asked_ahead_is_not_asked_again_the_first_time() -> None:
    asked, found = Asked(), list[str]()
    waited: list[str] = []

    def ahead() -> dict[str, Result | Exception]:
        waited.append("for all")
        return {"a": Result(3, "earlier", ""), "b": OSError("no answer"), "z": Result(0, "", "")}

    ended = asked.together.run(
        [
            lambda: found.append(asked.in_a_row("a", "a", "c")),
            lambda: found.append(asked.in_a_row("c", "a")),
            partial(asked.in_a_row, "b"),
        ],
        ahead,
    )
    assert found == ["c a", "earlier a c"]
    assert asked.trips == [["c"], ["a"], ["c"]]
    assert [type(each.error) for each in ended] == [type(None), type(None), OSError]
    assert waited == ["for all"]
    assert asked.together.answers["a"].out == "a"


def test_an_answer_ahead_that_cannot_be_waited_for_fails_those_who_asked() -> None:
    asked = Asked()

    def ahead() -> dict[str, Result | Exception]:
        raise OSError("lost")

    ended = asked.together.run([partial(asked.in_a_row, "a"), list], ahead)
    assert [str(each.error) for each in ended] == ["lost", "None"]
