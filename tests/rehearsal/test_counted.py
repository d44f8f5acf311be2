"""The plan's counts of what it adds match what it added, for the sample on the stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import plan, site
from rollout.rehearsal.box import standin_box
from rollout.report import changes
from rollout.site import JOURNAL
from tests.rehearsal import on_standin

LAST = "bind.cutover"


@pytest.mark.slow
def test_the_counts_of_a_plan_are_the_difference_that_an_apply_makes(tmp_path: Path) -> None:
    made = plan.make(site.read(Path(__file__).parents[2] / "site.example.toml"))
    with standin_box(made.site, tmp_path) as box, on_standin.runner(made, box) as runner:
        runner.connection.take()
        asked = f"sh {JOURNAL}/host.sh fingerprint"
        before = runner.session.output(asked).splitlines()
        commands = [each for n in range(made.upto(LAST)) for each in runner.compiled(n).commands]
        runner.apply(LAST)
        after = runner.session.output(asked).splitlines()
    added = changes.count(commands)["added"]
    facts: dict[changes.Kind, str] = {
        "jail": "jail ",
        "address": "address lo1: 10.",
        "ipfw nat instance": "nat ",
        "mount": "mount ",
    }
    for kind, start in facts.items():
        assert added[kind] == _more(before, after, start), kind
    # Where ipfw was not loaded, its own last rule is added, too.
    assert added["ipfw rule"] == _more(before, after, "rule ") - 1
    assert added["rc.conf variable"] == _more(before, after, "line /etc/rc.conf ")


def _more(before: list[str], after: list[str], start: str) -> int:
    now, then = (sum(fact.startswith(start) for fact in facts) for facts in (after, before))
    return now - then
