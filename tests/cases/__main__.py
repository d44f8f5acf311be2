"""Plays cases: `python -m tests.cases DIR_OR_FILE... [--on qemu]`; prints a line for each.

"same", "refused: why", or "WRONG: what". Exit code 1 when any case is wrong.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from rollout.errors import Refused
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from tests.cases.case import Case, is_survey, read
from tests.cases.place import host_of
from tests.cases.play import Outcome, judged, played

_GUEST_SITE = Path(__file__).parents[2] / "box" / "site.toml"


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir() and not is_survey(place):
            yield from sorted({*place.glob("*.toml"), *filter(is_survey, place.iterdir())})
        else:
            yield place


@contextmanager
def box_of(case: Case, plan: Plan, on: str) -> Iterator[Box]:
    if on == "qemu":
        from box.qemu.box import qemu_box

        asked = {each.address for each in case.ask if each.source == "outside" and each.address}
        others = sorted(asked - {str(plan.site.host.wan_address)})
        with qemu_box(plan.site, None, lambda text: None, others) as box:
            yield box
        return
    with standin_box(plan.site, base=host_of(case).base) as box:
        yield box


def outcome(case: Case, on: str, say: Callable[[str], None] | None = None) -> Outcome:
    """The result of a case, compared with what it expects. With `say`, under clients."""
    try:
        plan = case.plan(_GUEST_SITE) if on == "qemu" else case.plan()
        host_of(case)
    except Refused as refused:
        return judged(case, Outcome("refused", str(refused)))
    return judged(case, played(case, partial(box_of, case, plan, on), plan, say))


@click.command()
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--on", type=click.Choice(["standin", "qemu"]), default="standin")
@click.option("--only", default="", help="Cases whose name has this in it.")
@click.option("--clients", is_flag=True, help="On the stand-in, too; on qemu they always run.")
def main(places: tuple[Path, ...], on: str, only: str, clients: bool) -> None:
    """Play every case, and print its result."""
    wrong = 0
    for file in _files(places):
        if only not in file.stem:
            continue
        case = read(file)
        if on not in case.on:
            click.echo(f"{file.stem}: skipped, not for {on}")
            continue
        began = time.monotonic()
        came = outcome(case, on, click.echo if clients or on == "qemu" else None)
        wrong += came.kind == "WRONG"
        click.echo(f"{file.stem}: {came} ({time.monotonic() - began:.1f} s)")
    click.echo(f"{wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
