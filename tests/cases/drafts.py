"""Surveys the hosts of cases, without what their site files say, and has `check` try each draft.

`python -m tests.cases.drafts DIR_OR_FILE... [--only WORD]` prints a line for each; exit code 1 when
a draft does not pass, and the survey did not say so.
"""

from __future__ import annotations

import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from rollout import plan, site
from rollout.errors import Refused
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from standin import BaseHost
from survey.drafting import Way
from survey.survey import Surveyed, survey
from tests.cases.case import Case, read
from tests.cases.place import CannotBeMade, Host
from tests.cases.play import refusal
from tests.rehearsal.sites import ordered


class Drafted(NamedTuple):
    """`refused` is why no draft was made, or what `check` refuses of it."""

    found: Surveyed | None
    refused: str = ""

    def __str__(self) -> str:
        if self.found is None:
            return f"no draft: {self.refused}"
        draft = self.found.draft
        asked = len(draft.questions)
        moves = " ".join(each for each in draft.order if f"services.{each}" in draft.tables)
        left = "; ".join(f"{name}: {why[0]}" for name, why in draft.left.items())
        said = f"{moves}; {asked} questions" + (f"; left: {left}" if left else "")
        if self.refused:
            return f"REFUSED by check ({said}): {self.refused}"
        return f"passes check ({said})"

    @property
    def is_wrong(self) -> bool:
        """The draft does not pass, and the survey did not say that it would not."""
        return bool(self.found and self.refused and not self.found.draft.told)


@contextmanager
def host_of(case: Case) -> Iterator[Box]:
    """The stand-in with the case's files and commands, and nothing of its site file."""
    base = BaseHost.with_postfix() if case.base == "postfix" else BaseHost.sample()
    made = ordered()
    with standin_box(made.site, base=base) as box:
        Host(case, made, box).prepare()
        yield box


def planned(found: Surveyed) -> Plan:
    return plan.make(site.parse(tomllib.loads(found.text), Path("site.toml")))


def drafted(case: Case) -> Drafted:
    """Survey the host of a case, and check the draft as `cellblock check` does."""
    with host_of(case) as box:
        try:
            found = survey(box.target, Way("203.0.113.2"), box.outside)
        except Refused as refused:
            return Drafted(None, str(refused))
        return Drafted(found, refusal(Host(case, planned(found), box)))


@click.command()
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--only", default="", help="Cases whose name has this in it.")
@click.option("--text", is_flag=True, help="Print the drafts, too.")
def main(places: tuple[Path, ...], only: str, *, text: bool) -> None:
    """Survey the host of every case, and print what becomes of its draft."""
    wrong = 0
    for place in places:
        for file in sorted(place.glob("*.toml")) if place.is_dir() else [place]:
            if only not in file.stem:
                continue
            began = time.monotonic()
            try:
                case = read(file)
                if "standin" not in case.on:
                    continue
                came = drafted(case)
            except (CannotBeMade, ValueError) as error:
                click.echo(f"{file.stem}: skipped: {error}")
                continue
            wrong += came.is_wrong
            click.echo(f"{file.stem}: {came} ({time.monotonic() - began:.1f} s)")
            if text and came.found:
                click.echo(came.found.text)
    click.echo(f"{wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
