"""python -m tests.breakin [--on standin|qemu] [--image FILE] [--order SUBJECT,...] [--disk 128M]"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from box.kinds import KINDS
from rollout import plan, site
from rollout.site.limits import Limits
from tests.breakin.play import Played, told
from tests.rehearsal.sites import FIRST, SAMPLE

_GUEST = Path(__file__).parents[2] / "box" / "site.toml"


@click.command(help=__doc__)
@click.option("--on", type=click.Choice(["standin", "qemu"]), default="standin")
@click.option("--image", type=click.Path(path_type=Path, exists=True))
@click.option("--order", help="These subjects after the first ones; default: the site file's.")
@click.option("--disk", help="Each jail has a file system of this size, and attempts fill it.")
@click.option("--quick", is_flag=True, help="Checks in the steady state alone, not at each step.")
def main(on: str, image: Path | None, order: str | None, disk: str | None, quick: bool) -> None:
    """Play every attempt during a whole rollout; exit code 1 if one succeeds."""
    sample = site.read(_GUEST if on == "qemu" else SAMPLE)
    if order:
        sample = sample.model_copy(update={"order": (*FIRST, *order.split(","))})
    if disk:
        limits = {"limits": Limits.model_validate({"disk": disk})}
        jails = {name: jail.model_copy(update=limits) for name, jail in sample.jails.items()}
        sample = sample.model_copy(update={"jails": jails})
    made = plan.make(sample)
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.0f} {text}")

    with KINDS[on].open(made.site, image, click.echo) as box:
        say(f"{box.name}: {', '.join(made.site.order)}")
        played = Played(made, box, say, quick=quick)
        played.whole()
    click.echo("\n".join(told(played)))
    sys.exit(played.wrong)


if __name__ == "__main__":
    main()
