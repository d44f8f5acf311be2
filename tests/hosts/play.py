"""Plays a drawn host on a stand-in: same, refused, or WRONG."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from rollout.errors import CellblockError, Refused
from rollout.plan import Plan
from rollout.plan.step import Check, Step
from rollout.rehearsal.box import standin_box
from standin import BaseHost, StandIn
from tests.cases.place import CannotBeMade, Host
from tests.cases.play import WHEN, Moved, Outcome, Wrong, compare, refusal, story
from tests.crash.view import View, differences
from tests.hosts.draw import Drawn
from tests.hosts.ingredient import PEOPLE

LAST_LINES = 6


@dataclass(frozen=True)
class Brief(Plan):
    """A plan whose steps are checked by what their own subjects check, there and back.

    The first and the last steps have all checks, and so has verify after the restart. Half of the
    processes of a whole plan ask the same again after each step.
    """

    def checks(self, done: int, *, back: bool = False) -> Iterator[Check]:
        checks = super().checks(done, back=back)
        if done in (1, len(self.steps)):
            return checks
        subject = _subject(self.steps[done if back else done - 1])
        own = {check for step in self.steps if _subject(step) == subject for check in step.checks}
        return (check for check in checks if check in own)


def _subject(step: Step) -> str:
    return step.name.partition(".")[0]


def played(host: Drawn, *, brief: bool = False) -> Outcome:
    """The result of a host. Whatever is raised is a wrong result: no traceback may come."""
    try:
        case = host.case
        try:
            plan = case.plan()
            if brief:
                plan = Brief(plan.site, plan.steps)
        except Refused as refused:
            return judged(host, Outcome("refused", str(refused)))
        made = BaseHost.with_postfix if host.base == "postfix" else BaseHost.sample
        with standin_box(plan.site, base=made(PEOPLE)) as box:
            assert isinstance(box.target, StandIn)
            found = judged(host, _on(Host(case, plan, box), box.target))
            strange = box.target.strange
        if strange and found.kind != "WRONG":
            return Outcome("WRONG", f"the stand-in did not know: {'; '.join(strange)}")
        return found
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = "".join(traceback.format_exception_only(error)).strip()
        return Outcome("WRONG", f"{what} at {where.filename}:{where.lineno}")


def _on(host: Host, standin: StandIn) -> Outcome:
    """Asked before, after the apply, after a restart and after the rollback: questions of drawn
    hosts do not change their own answers, so no second host is needed to compare with."""
    try:
        host.prepare()
        before = host.answers()  # nobody at all, too: the host's firewall may deny this machine
        view = View(standin)
        untouched = view.take()
        why = refusal(host)
        if why:
            now = view.take()
            if now != untouched:
                return Outcome("WRONG", f"refused, and changed:\n{differences(untouched, now)}")
            return Outcome("refused", why)
        for when, now_ in zip(WHEN, story(host, Moved(host)), strict=True):
            compare(host.case, when, now_, before)
    except (Wrong, CannotBeMade, CellblockError) as error:
        return Outcome("WRONG", str(error))
    return Outcome("same")


def judged(host: Drawn, found: Outcome) -> Outcome:
    """A refusal has to name one of the host's ingredients."""
    if found.kind != "refused":
        return found
    if any(re.search(words, found.why, re.IGNORECASE) for words in host.words.values()):
        return found
    return Outcome("WRONG", f"refused, and no word names an ingredient: {found.why}")


def reduced(host: Drawn, *, brief: bool = False) -> Drawn:
    """The host with the fewest ingredients and services that is still wrong."""
    for name in (*host.pieces, *host.order):
        less = host.without(name)
        if less.order and played(less, brief=brief).kind == "WRONG":
            host = less
    return host


__all__ = ["Brief", "judged", "played", "reduced"]
