"""Draws hosts and plays them: `python -m tests.hosts [--seed N] [--count N] [--only NAME]`."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from multiprocessing.util import Finalize
from pathlib import Path
from typing import NamedTuple

import click

from standin import memory
from tests.hosts.draw import INGREDIENTS, Drawn, drawn
from tests.hosts.play import Place, played, reduced

A_CORE = 3
"""Players per core: a host also waits."""
WHOLE = 40
"""One host in so many has every check after every step, as apply has; the others are in brief."""


class Played(NamedTuple):
    seed: int
    kind: str
    why: str
    ingredients: tuple[str, ...]
    file: str


class Task(NamedTuple):
    seed: int
    only: str
    reduce: bool


def _cpu() -> float:
    """Seconds of CPU of this process and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def play(task: Task) -> Played:
    """Draw one host and play it; if it is wrong, reduce it."""
    whole = task.seed % WHOLE == 0
    host: Drawn = drawn(task.seed, task.only)
    found = played(host, _places[0], whole=whole)
    if found.kind == "WRONG" and task.reduce:
        host = reduced(host, _places[0], whole=whole)
        found = played(host, _places[0], whole=whole)
    return Played(task.seed, found.kind, found.why, tuple(host.pieces), host.as_file())


_places: list[Place] = []  # of this process, a player


def _begin(folder: Path) -> None:
    place = Place(folder)
    _places.append(place)
    Finalize(None, place.leave, exitpriority=1)


@contextmanager
def players() -> Iterator[Pool]:
    """Processes that play hosts, each on a stand-in of its own. All have ended afterwards."""
    many = A_CORE * (os.cpu_count() or 1)
    with tempfile.TemporaryDirectory(
        dir=memory(), prefix="cellblock-", ignore_cleanup_errors=True
    ) as folder:
        pool = multiprocessing.get_context("fork").Pool(many, _begin, (Path(folder),))
        try:
            yield pool
            pool.close()
        except BaseException:
            pool.terminate()
            raise
        finally:
            pool.join()


@click.command()
@click.option("--seed", type=int, help="The first host's number; default: drawn, and printed.")
@click.option("--count", default=2000, show_default=True)
@click.option("--only", default="", help="Each host has this ingredient.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    help="Each wrong host is reduced to the fewest ingredients, and written here as a case.",
)
def main(seed: int | None, count: int, only: str, keep: Path | None) -> None:
    """Play hosts drawn at random: each must behave the same after the move, or be refused."""
    if only and only not in {each.name for each in INGREDIENTS}:
        names = ", ".join(each.name for each in INGREDIENTS)
        raise click.BadParameter(f"expected one of: {names}", param_hint="--only")
    first = seed if seed is not None else random.randrange(10**9)
    print(f"hosts {first} to {first + count - 1}", flush=True)
    began = time.monotonic()
    kinds: Counter[str] = Counter()
    tasks = [Task(number, only, keep is not None) for number in range(first, first + count)]
    with players() as pool:
        for found in pool.imap_unordered(play, tasks):
            kinds[found.kind] += 1
            if found.kind == "WRONG":
                again = f"make hosts SEED={found.seed} COUNT=1{f' ONLY={only!r}' if only else ''}"
                print(
                    f"WRONG {', '.join(found.ingredients)}\n{found.why}\n  -> {again}", flush=True
                )
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"seed_{found.seed}.toml").write_text(found.file, encoding="utf-8")
            elif sum(kinds.values()) % 100 == 0:
                print(f"{sum(kinds.values())} played: {dict(kinds)}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(
        f"{kinds['same']} same, {kinds['refused']} refused, {kinds['WRONG']} wrong, in "
        f"{minutes:.1f} min; {_cpu() / count:.2f} s of CPU a host"
    )
    sys.exit(1 if kinds["WRONG"] else 0)


if __name__ == "__main__":
    main()
