"""Draws hosts and plays them: `python -m tests.hosts [--seed N] [--count N] [--only NAME]`."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from tests.hosts.draw import INGREDIENTS, Drawn, drawn
from tests.hosts.play import played, reduced

A_CORE = 3
"""Players per core: a host also waits."""
WHOLE = 10
"""One host in so many has every check after every step, as apply has; the others are brief."""


class Played(NamedTuple):
    seed: int
    kind: str
    why: str
    ingredients: tuple[str, ...]
    file: str
    cpu: float


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
    began = _cpu()
    brief = task.seed % WHOLE != 0
    host: Drawn = drawn(task.seed, task.only)
    found = played(host, brief=brief)
    if found.kind == "WRONG" and task.reduce:
        host = reduced(host, brief=brief)
        found = played(host, brief=brief)
    return Played(
        task.seed, found.kind, found.why, tuple(host.pieces), host.as_file(), _cpu() - began
    )


def _all(tasks: list[Task]) -> Iterator[Played]:
    with multiprocessing.get_context("fork").Pool(A_CORE * (os.cpu_count() or 1)) as pool:
        yield from pool.imap_unordered(play, tasks)


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
    cpu = 0.0
    tasks = [Task(number, only, keep is not None) for number in range(first, first + count)]
    for found in _all(tasks):
        kinds[found.kind] += 1
        cpu += found.cpu
        if found.kind == "WRONG":
            again = f"make hosts SEED={found.seed} COUNT=1{f' ONLY={only!r}' if only else ''}"
            print(f"WRONG {', '.join(found.ingredients)}\n{found.why}\n  -> {again}", flush=True)
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"seed_{found.seed}.toml").write_text(found.file, encoding="utf-8")
        elif sum(kinds.values()) % 100 == 0:
            print(f"{sum(kinds.values())} played: {dict(kinds)}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(
        f"{kinds['same']} same, {kinds['refused']} refused, {kinds['WRONG']} wrong, in "
        f"{minutes:.1f} min; {cpu / count:.2f} s of CPU a host"
    )
    sys.exit(1 if kinds["WRONG"] else 0)


if __name__ == "__main__":
    main()
