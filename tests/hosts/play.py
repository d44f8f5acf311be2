"""Plays a drawn host on a stand-in: same, refused, or WRONG."""

from __future__ import annotations

import re
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Self

from rollout.errors import CellblockError, Refused
from rollout.plan import Plan
from rollout.plan.step import Check, Step
from rollout.rehearsal.box import box_on
from standin import BaseHost, StandIn, memory
from tests.cases.place import CannotBeMade, Host
from tests.cases.play import WHEN, Moved, Outcome, Wrong, compare, refusal, story
from tests.crash.view import View, differences
from tests.hosts.draw import Drawn
from tests.hosts.ingredient import PEOPLE

LOOKS = 4
"""After one step in so many, of a host in brief, is looked."""
END = "(end)"


@dataclass(frozen=True)
class Brief(Plan):
    """A plan whose steps are checked by what their own subjects check, and not all of them: those
    of `looks`, there and back.

    All checks are asked before the first step, by the host's own plan, and after the restart; after
    the last step and after the last undo of a host with END in `looks`. To ask all of them after
    every step would take half of a host's CPU. Answers, files and the model are always compared.
    """

    looks: frozenset[str] = frozenset()
    restarted: bool = False

    def checks(self, done: int, *, back: bool = False) -> Iterator[Check]:
        checks = super().checks(done, back=back)
        if done == len(self.steps) and self.restarted and not back:
            return checks
        if done == (1 if back else len(self.steps)) and END in self.looks:
            return checks
        step = self.steps[done if back else done - 1]
        if step.name not in self.looks:
            return iter(())
        if done == 1:
            return checks
        own = {each for one in self.steps if _subject(one) == _subject(step) for each in one.checks}
        return (check for check in checks if check in own)


def brief(plan: Plan, seed: int) -> Brief:
    """The host's number says after which steps is looked, so that others look after other steps."""
    names = (END, *(step.name for step in plan.steps))
    looks = {each for each in names if Random(f"{each} {seed}").randrange(LOOKS) == 0}
    return Brief(plan.site, plan.steps, frozenset(looks))


class _Briefly(Moved):
    """Its plan asks all checks once the host has restarted."""

    def back(self) -> None:
        plan = self._host.plan
        if isinstance(plan, Brief):
            self._host.plan = replace(plan, restarted=True)
        super().back()


def _subject(step: Step) -> str:
    return step.name.partition(".")[0]


class Place:
    """Where one host after the other is played: a new stand-in starts once, and is then rebuilt."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._standin: StandIn | None = None

    def booted(self, base: BaseHost) -> StandIn:
        if self._standin is None:
            self._standin = StandIn.build(
                Path(tempfile.mkdtemp(dir=self._folder)), base, light=True
            )
        else:
            self._standin.rebuild(base)
        self._standin.boot(single_user=True)  # Host.prepare changes files, and restarts it
        return self._standin

    def leave(self) -> None:
        """After a failure: the next host gets a new stand-in."""
        if self._standin is not None:
            self._standin.stop()
        self._standin = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.leave()


@contextmanager
def place() -> Iterator[Place]:
    """A place in memory, if there is room, deleted when the context ends."""
    with (
        tempfile.TemporaryDirectory(dir=memory(), prefix="cellblock-") as folder,
        Place(Path(folder)) as made,
    ):
        yield made


def played(host: Drawn, at: Place, *, whole: bool = False) -> Outcome:
    """The result of a host. Whatever is raised is a wrong result: no traceback may come.

    `whole`: with all checks after every step.
    """
    try:
        case = host.case
        try:
            plan = case.plan()
        except Refused as refused:
            return judged(host, Outcome("refused", str(refused)))
        made = BaseHost.with_postfix if host.base == "postfix" else BaseHost.sample
        standin = at.booted(made(PEOPLE))
        moves = plan if whole else brief(plan, host.seed)
        found = judged(host, _on(Host(case, plan, box_on(standin, plan.site)), standin, moves))
        if standin.strange and found.kind != "WRONG":
            strange = "; ".join(standin.strange)
            return Outcome("WRONG", f"the stand-in did not know: {strange}")
        return found
    except Exception as error:
        at.leave()
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = "".join(traceback.format_exception_only(error)).strip()
        return Outcome("WRONG", f"{what} at {where.filename}:{where.lineno}")


def _on(host: Host, standin: StandIn, moves: Plan) -> Outcome:
    """Asked before, after the apply, after a restart and after the rollback: questions of drawn
    hosts do not change their own answers, so no second host is needed to compare with. What `check`
    asks is asked by the host's own plan; `moves` is the same with perhaps fewer checks.
    """
    try:
        with host.keeping():
            return _told(host, standin, moves)
    except (Wrong, CannotBeMade, CellblockError) as error:
        return Outcome("WRONG", str(error))


def _told(host: Host, standin: StandIn, moves: Plan) -> Outcome:
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
    host.plan = moves
    for when, answers in zip(WHEN, story(host, _Briefly(host)), strict=True):
        compare(host.case, when, answers, before)
    now = view.take()
    now -= _sent_by_checks(standin, now - untouched)
    if now != untouched:
        return Outcome("WRONG", f"after the rollback:\n{differences(untouched, now)}")
    return Outcome("same")


def _sent_by_checks(standin: StandIn, lines: Iterable[str]) -> frozenset[str]:
    """Those of messages of the check that sends root one: a host whose root gets no mail keeps it
    in its queue, as it does with cron's.
    """
    return frozenset(
        line
        for line in lines
        if line.startswith("path /var/spool/postfix/deferred/")
        and "Sent by a check" in (standin.root / line.split()[1][1:]).read_text(errors="replace")
    )


def judged(host: Drawn, found: Outcome) -> Outcome:
    """A refusal has to name one of the host's ingredients."""
    if found.kind != "refused":
        return found
    if any(re.search(words, found.why, re.IGNORECASE) for words in host.words.values()):
        return found
    return Outcome("WRONG", f"refused, and no word names an ingredient: {found.why}")


def reduced(host: Drawn, at: Place, *, whole: bool = False) -> Drawn:
    """The host with the fewest ingredients and services that is still wrong."""
    for name in (*host.pieces, *host.order):
        less = host.without(name)
        if less.order and played(less, at, whole=whole).kind == "WRONG":
            host = less
    return host


__all__ = ["Brief", "Place", "brief", "judged", "place", "played", "reduced"]
