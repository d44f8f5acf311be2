"""A random sample of all crash cases in each run of the tests; `make crash` plays all of them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.host.bundle import compile_step
from rollout.plan import Plan
from tests.crash.cases import KINDS, UNDO, Case, Wanted, of_command
from tests.crash.place import Neither, Place
from tests.crash.play import play
from tests.crash.workers import Walker
from tests.rehearsal.sites import SAMPLE, ordered

SEED = "CELLBLOCK_CRASH_SEED"
SECONDS = 6.0
LEADING = {"network": (), "bind": ("bind",), "mysql": ("mysql",), "web": ("mysql", "web")}


@pytest.fixture
def dice() -> Iterator[random.Random]:
    seed = os.environ.get(SEED) or str(random.randrange(10**6))
    print(f"to repeat it: {SEED}={seed}")
    yield random.Random(seed)


def chosen(dice: random.Random) -> tuple[Plan, int]:
    """A plan that soon reaches one of its steps, and the position of that step."""
    made = ordered(*LEADING[dice.choice(sorted(LEADING))])
    acting = [place for place, step in enumerate(made.steps) if step.operations]
    return made, dice.choice(acting)


def test_every_failure_ends_as_before_or_confirmed(dice: random.Random, tmp_path: Path) -> None:
    made, position = chosen(dice)
    walker = Walker(made, tmp_path)
    step = made.steps[position].name
    tried = 0
    try:
        commands = len(walker.place(position).made.commands)
        began = time.monotonic()
        while tried < 4 or time.monotonic() < began + SECONDS:
            case = dice.choice(of_command(step, dice.randint(1, commands)))
            print(f"make crash ORDER={','.join(made.site.order)} ONLY={case}")
            outcome = walker.played(position, case)
            assert outcome.end, f"{case}\n{outcome.evidence}"
            tried += 1
    finally:
        walker.close()
    assert walker.strange == []


def test_every_kind_is_tried_at_every_command_both_ways() -> None:
    cases = of_command("network", 7)
    assert len(cases) == len(set(cases)) == 2 * len(KINDS)
    assert {str(case) for case in cases} == {
        f"network:7:{way}{kind}" for way in ("", UNDO) for kind in KINDS
    }


def test_the_sample_site_has_more_than_5000() -> None:
    """Without a host's facts; a host that has some things already needs a few commands fewer."""
    made = plan.make(site.read(SAMPLE))
    bundles = [compile_step(position + 1, step, None) for position, step in enumerate(made.steps)]
    cases = [of_command(each.step.name, 1) for each in bundles for _ in each.commands]
    assert sum(map(len, cases)) > 5000


def test_cases_that_confirm_a_step_precede_those_that_roll_it_back() -> None:
    cases = of_command("network", 7)
    for place, case in enumerate(cases):
        if case.by_rollback:
            assert cases[place - 1].ends_confirmed


@pytest.mark.parametrize(
    ("only", "holds"),
    [
        ("", True),
        ("mysql.cutover", True),
        ("mysql.*:7", True),
        ("mysql.cutover:7:undo-*", True),
        ("mysql.cutover:8", False),
        ("mysql.cutover:7:fail", False),
    ],
)
def test_only_selects_cases(only: str, holds: bool) -> None:
    case = Case("mysql.cutover", 7, "undo", "power-torn")
    assert Wanted.parse(only).holds(case) == holds


@pytest.mark.parametrize("only", ["a:b:c:d", "a::b", ":"])
def test_a_wrong_only_is_refused(only: str) -> None:
    with pytest.raises(ValueError, match="expected STEP"):
        Wanted.parse(only)


def test_an_undo_that_does_nothing_is_found(tmp_path: Path) -> None:
    with Place(ordered(), tmp_path) as place:
        commands = list(place.made.commands)
        there = next(n for n, each in enumerate(commands) if each.do.startswith("sysrc "))
        commands[there] = replace(commands[there], undo=":")
        place.made = replace(place.made, commands=tuple(commands))
        with pytest.raises(Neither, match="stuck"):
            play(place, Case(place.made.step.name, there + 1, "do", "fail-after"))


def test_the_view_covers_what_host_sh_skips(tmp_path: Path) -> None:
    """host.sh's own fingerprint skips home directories; the view at the end does not."""
    with Place(ordered(), tmp_path) as place:
        commands = list(place.made.commands)
        commands[0] = replace(commands[0], do=f"touch /root/left; {commands[0].do}")
        place.made = replace(place.made, commands=tuple(commands))
        with pytest.raises(Neither, match=r"[+] path /root/left"):
            play(place, Case(place.made.step.name, 1, "do", "fail-after"))
