"""When two answers of web servers are the same."""

from __future__ import annotations

import pytest

from tests.checks.test_web import same_answer

PAGE = ["200", "24", "ab12", "-"]
OTHER = ["200", "30", "cd34", "-"]
MOVED = ["301", "24", "ab12", "http://www.example.org/"]
GONE = ["404", "196", "ef56", "-"]
BROKEN = ["503", "299", "0a0b", "-"]
NOTHING = ["none", "0", "e3b0", "-"]


@pytest.mark.parametrize(
    ("before", "jails", "after", "same"),
    [
        (PAGE, PAGE, PAGE, True),
        (GONE, GONE, GONE, True),
        (PAGE, OTHER, PAGE, False),
        (MOVED, [*MOVED[:3], "http://10.80.0.4/"], MOVED, False),
        (PAGE, BROKEN, OTHER, False),
        (PAGE, ["200", "9", "9999", "-"], OTHER, True),
        (NOTHING, NOTHING, NOTHING, False),
    ],
)
def test_what_does_not_vary_on_the_host_is_compared_whole(
    before: list[str], jails: list[str], after: list[str], same: bool
) -> None:
    assert same_answer(before, jails, after) is same
