"""A failure that cannot be injected is refused before a box is set up."""

from __future__ import annotations

import pytest

from rollout.errors import Refused
from rollout.rehearsal import faults
from tests.unit.rollout.reported import PLAN


def test_the_last_command_of_a_step_can_be_broken_and_the_next_cannot() -> None:
    faults.must_exist(PLAN, "base", 11)
    with pytest.raises(Refused, match="base has 11 commands: there is no command 12 to break"):
        faults.must_exist(PLAN, "base", 12)


def test_a_step_that_only_checks_has_nothing_to_break() -> None:
    with pytest.raises(Refused, match="preflight has no commands, only checks"):
        faults.must_exist(PLAN, "preflight", 1)


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(Refused, match="no step 'nosuch'"):
        faults.must_exist(PLAN, "nosuch", 1)
