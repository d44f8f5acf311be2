"""Many stand-ins in parallel: each walks through the plan and takes the next case that is free."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from queue import Empty

from rollout.plan import Plan
from standin import memory
from tests.crash.cases import Case, Wanted
from tests.crash.place import Place
from tests.crash.play import play

CASE_SECONDS = 240
END_SECONDS = 20
LOOK_SECONDS = 60
LAST_LINES = 12
MOST_LINES = 40


@dataclass(frozen=True)
class Outcome:
    """`end` is "confirmed", "as before", or empty with the `evidence` of what happened instead."""

    case: Case
    end: str
    evidence: str = ""


class _TooLong(Exception):
    pass


def _too_long(*_: object) -> None:
    raise _TooLong(f"it did not end within {CASE_SECONDS} s")


class Walker:
    """Moves one place along the plan; builds a new one after a case has spoiled it."""

    def __init__(self, plan: Plan, where: Path) -> None:
        self.plan = plan
        self.where = where
        self.strange: list[str] = []
        self._built = 0
        self._place: Place | None = None

    def place(self, position: int) -> Place:
        if self._place is None:
            self._built += 1
            self._place = Place(self.plan, self.where / str(self._built))
        self._place.stand_before(position)
        return self._place

    def close(self) -> None:
        if self._place is not None:
            self.strange += [
                f"the stand-in did not know: {line}" for line in self._place.standin.strange
            ]
            with suppress(Exception):
                self._place.__exit__()
            self._place = None

    def played(self, position: int, case: Case) -> Outcome:
        signal.signal(signal.SIGALRM, _too_long)
        place = self.place(position)
        signal.alarm(CASE_SECONDS)
        try:
            return Outcome(case, play(place, case))
        except Exception as error:
            signal.alarm(0)
            found = Outcome(case, "", _evidence(place, error))
            self.close()
            return found
        finally:
            signal.alarm(0)


def _evidence(place: Place, error: Exception) -> str:
    what = "\n".join("".join(traceback.format_exception_only(error)).split("\n")[:MOST_LINES])
    where = traceback.extract_tb(error.__traceback__)[-1]
    lines = [what, f"at {where.filename}:{where.lineno}"]
    for name in ("log", "progress", "differences"):
        lines += [f"the end of {name}:", *place.text(name).splitlines()[-LAST_LINES:]]
    return "\n".join(lines)


def _work(
    plan: Plan,
    wanted: Wanted,
    taken: list[Synchronized[int]],
    results: Queue[Outcome | list[str] | None],
) -> None:
    with (
        tempfile.TemporaryDirectory(dir=memory(), prefix="crash") as where,
        ExitStack() as stack,
    ):
        walker = Walker(plan, Path(where))
        stack.callback(results.put, None)
        stack.callback(lambda: results.put(walker.strange))
        stack.callback(walker.close)
        try:
            for position, step in enumerate(plan.steps):
                if not step.operations or not wanted.may_hold(step.name):
                    continue
                commands = len(walker.place(position).made.commands)
                while (command := _next(taken[position])) <= commands:
                    for case in wanted.of(step.name, command):
                        results.put(walker.played(position, case))
        except Exception:
            walker.strange.append(f"a worker failed: {traceback.format_exc()}")


def _next(taken: Synchronized[int]) -> int:
    with taken.get_lock():
        taken.value += 1
        return taken.value


def outcomes(plan: Plan, wanted: Wanted, workers: int) -> Iterator[Outcome | list[str]]:
    """The outcome of every wanted case as soon as it is known; and from each worker the lines of
    what its stand-ins did not know.
    """
    fork = multiprocessing.get_context("fork")
    taken = [fork.Value("i", 0) for _ in plan.steps]
    results: Queue[Outcome | list[str] | None] = fork.Queue()
    there = [
        fork.Process(target=_work, args=(plan, wanted, taken, results)) for _ in range(workers)
    ]
    for worker in there:
        worker.start()
    try:
        yield from _until_the_end(results, there)
    except BaseException:
        for worker in there:
            worker.terminate()
        for worker in there:
            worker.join(END_SECONDS)
            worker.kill()  # one that cannot put its last outcomes anywhere
        raise
    for worker in there:
        worker.join()


def _until_the_end(
    results: Queue[Outcome | list[str] | None], there: Sequence[BaseProcess]
) -> Iterator[Outcome | list[str]]:
    ended = 0
    while ended < len(there):
        try:
            found = results.get(timeout=LOOK_SECONDS)
        except Empty:
            if not any(worker.is_alive() for worker in there):
                yield ["all workers ended, some of them too early"]
                break
            continue
        if found is None:
            ended += 1
        else:
            yield found
