"""A host with foreign rules, jails, aliases and settings: each of them stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.engine.listener import Listener, Result
from rollout.engine.runner import Runner
from rollout.errors import Refused
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from standin import BaseHost
from tests.rehearsal.on_standin import yes
from tests.rehearsal.sites import ordered

SAMPLE = Path(__file__).parents[2] / "site.example.toml"

THEIRS = r"^(rule|sets|jail|address|mount|service|line /etc/rc\.conf|line /boot/loader\.conf) "


class Looking(Listener):
    """Records the host's fingerprint after each step."""

    runner: Runner

    def __init__(self) -> None:
        self.after: dict[str, set[str]] = {}

    def result(self, result: Result) -> None:
        there = self.runner.session.output(f"sh {site.JOURNAL}/host.sh fingerprint")
        self.after.setdefault(result.step, set(there.splitlines()))


@pytest.mark.whole
def test_foreign_settings_stay_during_the_whole_rollout(tmp_path: Path) -> None:
    made = plan.make(site.read(SAMPLE))
    with standin_box(made.site, tmp_path, BaseHost.busy()) as box:
        rehearsal = Rehearsal(made, box, Listener(), tmp_path)
        before = rehearsal.fingerprint()
        theirs = {line for line in before if re.match(THEIRS, line)}
        assert {line.partition(" ")[0] for line in theirs} >= {"rule", "jail", "address", "line"}
        scripts = [
            made.site.services[name] for name in made.site.order if name in made.site.services
        ]
        moved = {f"service {each.rc} runs" for each in scripts}
        changed = {f'line /etc/rc.conf {each.rcvar}="YES"' for each in scripts}
        lists = {line for line in theirs if re.search("jail_list=|cloned_interfaces=", line)}
        told = Looking()
        with Runner(made, box.target, box.outside, told, yes) as runner:
            told.runner = runner
            runner.apply()
            assert list(told.after) == [step.name for step in made.steps if step.operations]
            for name, there in told.after.items():
                lost = theirs - there - moved - changed - lists
                assert not lost, f"{name} took away {lost}"
            runner.rollback()
        rehearsal.must_equal(before, "after the rollback")


def apply(made: plan.Plan, box: Box, to: str) -> None:
    with Runner(made, box.target, box.outside, Listener(), yes) as runner:
        runner.apply(to)


def test_a_foreign_rule_in_one_of_our_sets_is_refused(tmp_path: Path) -> None:
    made = ordered("mysql")
    set_ = made.site.places["mysql"].set
    with standin_box(made.site, tmp_path, BaseHost.busy()) as box:
        box.target.run(f"ipfw -q add 400 set {set_} count ip from any to any")  # type: ignore[attr-defined]
        apply(made, box, "mysql.jail")
        with pytest.raises(Refused, match=r"rule 400 exists .*expected set"):
            apply(made, box, "mysql.cutover")
