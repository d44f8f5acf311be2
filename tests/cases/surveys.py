"""Surveys the hosts of cases, and plays each case on a stand-in that is built from its survey.

`python -m tests.cases.surveys DIR_OR_FILE... [--only WORD]` prints a line for each; exit code 1
when an outcome is another one than that of the case itself, or says something else.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import click

from rollout.errors import Refused
from rollout.host import survey as recorded
from rollout.plan import Plan
from survey.drafting import Way
from survey.survey import survey
from tests.cases.__main__ import box_of
from tests.cases.case import Case, read
from tests.cases.drafts import host_of
from tests.cases.place import CannotBeMade
from tests.cases.play import Outcome, played


def surveyed(case: Case, made: Plan, folder: Path) -> Case:
    """The same case, its host as a survey of it has it; asked is what `made` would ask, too.

    Raises Refused for a host that cannot be surveyed.
    """
    with host_of(case) as box:
        found = survey(box.target, Way("203.0.113.2"), box.outside, also=made)
    folder.mkdir(exist_ok=True)
    (folder / recorded.FILE).write_text(found.recording.text(), encoding="utf-8")
    (folder / "site.toml").write_text(found.text, encoding="utf-8")
    of_case: dict[str, Any] = {"append": {}, "files": {}, "owners": {}, "links": {}, "before": ()}
    return case.model_copy(update={"survey": str(folder), **of_case})


def both(case: Case, folder: Path) -> tuple[Outcome, Outcome]:
    """The outcome of a case, and that on the host which its survey describes."""
    made = case.plan()
    again = surveyed(case, made, folder)
    first, second = (
        played(each, partial(box_of, each, made, "standin"), made) for each in (case, again)
    )
    return first, second


def plain(outcome: Outcome) -> Outcome:
    """Without the numbers of processes."""
    return outcome._replace(why=_PROCESS.sub("PID", outcome.why))


_PROCESS = re.compile(r"(?<=procstat -f )\d+|\d+(?= listens at)|(?<=sockstat -u )\d+")


@click.command()
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--only", default="", help="Cases whose name has this in it.")
def main(places: tuple[Path, ...], only: str) -> None:
    """Play every case twice, and print whether the outcomes are the same."""
    wrong = 0
    for place in places:
        for file in sorted(place.glob("*.toml")) if place.is_dir() else [place]:
            case = read(file)
            if only not in file.stem or "standin" not in case.on:
                continue
            began = time.monotonic()
            try:
                with tempfile.TemporaryDirectory() as folder:
                    first, second = both(case, Path(folder))
            except (CannotBeMade, Refused) as error:
                click.echo(f"{file.stem}: skipped: {error}")
                continue
            alike = plain(first) == plain(second)
            wrong += not alike
            told = f"alike: {first}" if alike else f"DIFFER:\n  {first}\n  {second}"
            click.echo(f"{file.stem}: {told} ({time.monotonic() - began:.1f} s)")
    click.echo(f"{wrong} differ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
