"""Two drawn hosts in each run of the tests, by default the same; `make hosts` plays thousands."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from rollout.engine.runner import Runner
from tests.cases.case import Case
from tests.cases.play import Outcome
from tests.hosts.draw import INGREDIENTS, Drawn, drawn
from tests.hosts.play import END, Place, brief, judged, place, played

SEED = "CELLBLOCK_HOSTS_SEED"
FIRST = 14
PLAYED = 2
FILES = 300  # hosts that are drawn and printed, not played


@pytest.fixture(scope="module")
def at() -> Iterator[Place]:
    with place() as made:
        yield made


def test_hosts_behave_the_same_or_are_refused(at: Place) -> None:
    first = int(os.environ.get(SEED, FIRST))
    for seed in range(first, first + PLAYED):
        print(f"to repeat it: make hosts SEED={seed} COUNT=1, or {SEED}={first}")
        found = played(drawn(seed), at, whole=True)
        assert found.kind != "WRONG", found.why


def test_a_brief_plan_asks_everything_after_the_restart_and_after_some_steps_what_is_theirs() -> (
    None
):
    whole = drawn(FIRST).case.plan()
    steps = range(1, len(whole.steps) + 1)
    ways = [*((done, False) for done in steps), *((done, True) for done in steps[:-1])]
    looked: Counter[tuple[int, bool]] = Counter()
    for seed in range(50):
        made = brief(whole, seed)
        after_restart = replace(made, restarted=True)
        assert list(after_restart.checks(len(steps))) == list(whole.checks(len(steps)))
        for done, back in ways:
            asked, all_ = set(made.checks(done, back=back)), set(whole.checks(done, back=back))
            assert asked <= all_
            if asked:
                looked[done, back] += 1
                own = set(whole.steps[done if back else done - 1].checks)
                assert asked >= own & all_
            is_end = done == (1 if back else len(steps))
            assert not (is_end and END in made.looks) or asked == all_
    assert set(looked) >= {(done, False) for done in steps}
    assert max(looked[1, True], looked[len(steps), False]) < 40  # END is one look in four, too
    assert looked[1, True]


def test_what_is_left_over_after_the_rollback_is_wrong(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that no answer, check or fingerprint is about."""
    rolled_back = Runner.rollback

    def leaves(runner: Runner) -> None:
        rolled_back(runner)
        runner.session.output("mkdir /data")

    monkeypatch.setattr(Runner, "rollback", leaves)
    host = Drawn(2, "sample", ("mysql",), {})
    found = played(host, at)
    assert (found.kind, "+ path /data" in found.why) == ("WRONG", True), found.why


def test_a_host_is_the_same_each_time_and_its_file_is_the_case_that_is_played() -> None:
    for seed in range(FILES):
        host = drawn(seed)
        assert host == drawn(seed)
        assert Case.model_validate(tomllib.loads(host.as_file())) == host.case


@pytest.mark.parametrize("name", [each.name for each in INGREDIENTS])
def test_a_host_has_the_ingredient_that_is_asked_for(name: str) -> None:
    assert all(name in drawn(seed, name).pieces for seed in range(20))


def test_ingredients_stay_the_same_when_others_are_taken_away() -> None:
    host = next(host for seed in range(FILES) if len((host := drawn(seed)).pieces) > 2)
    first, *rest = host.pieces
    less = host.without(first)
    assert list(less.pieces) == rest
    assert all(less.pieces[name] == host.pieces[name] for name in rest)


def test_a_refusal_that_names_no_ingredient_is_wrong() -> None:
    host = drawn(0, "a wrong rcvar")
    told = Outcome("refused", "web: apache24_enable is the rcvar of apache24")
    assert judged(host, told) == told
    assert judged(host, Outcome("refused", "the moon is full")).kind == "WRONG"


def test_whatever_is_raised_is_a_wrong_result(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*args: object, **more: object) -> None:
        raise KeyError("moon")

    monkeypatch.setattr("tests.hosts.play.box_on", breaks)
    found = played(drawn(0), at)
    assert (found.kind, "KeyError: 'moon'" in found.why) == ("WRONG", True)


@pytest.mark.parametrize(
    ("service", "asked"),
    [("bind", "host -t SOA"), ("mysql", "SELECT"), ("web", "GET"), ("mail", "RCPT")],
)
def test_content_is_asked_of_each_service_that_moves(service: str, asked: str) -> None:
    for seed in range(FILES):
        host = drawn(seed)
        assert (asked in host.as_file()) == (service in host.order)
