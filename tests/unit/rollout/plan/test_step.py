"""A step is a value."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from operations import rc
from rollout.plan.step import Step, check, use


def step(name: str = "one", value: str = "NO", why: str = "why") -> Step:
    return Step(name, why, (use(rc.variable, name="a", value=value),), (check("jail::runs"),))


def test_a_step_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        step().name = "other"  # type: ignore[misc] # that it cannot is what is tested


def test_a_use_reads_as_it_was_written() -> None:
    assert str(use(rc.variable, name="a", value="NO")) == "rc.variable(name='a', value='NO')"


def test_building_a_step_asks_no_host() -> None:
    """Outside of a context, any fact would raise."""
    assert len(step().operations) == 1


def test_the_hash_of_a_step_is_over_its_name_and_its_operations() -> None:
    ours = step().hash
    assert step().hash == ours
    assert step(why="said better").hash == ours
    assert len({step("other").hash, step(value="YES").hash} - {ours}) == 2


def test_a_check_names_a_function_of_a_file_in_tests_checks() -> None:
    asked = check("jail::has_its_address", until="web.cutover", jail="web")
    assert asked.node == "test_jail.py::test_has_its_address"
    assert (asked.values, asked.until) == ((("jail", "web"),), "web.cutover")


def test_what_a_check_is_about_has_no_word_for_nothing() -> None:
    assert check("jail::has_its_address", jail="web", ways=None).about == ("web",)
