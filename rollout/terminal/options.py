"""Options that several commands have."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path

import click

from rollout import SAMPLE
from rollout.terminal import step_names

Command = Callable[..., None]
Option = Callable[[Command], Command]

_SITE = Path("site.toml")


def site(command: Command) -> Command:
    """Gives the command `site_file`."""
    return click.option(
        "--site",
        "site_file",
        type=click.Path(path_type=Path),
        default=_SITE,
        show_default=True,
        help="The site file; cellblock --help says where the sample is.",
    )(command)


def offline(command: Command) -> Command:
    """For a command that needs no server with this option; goes above `site_or_sample`."""
    return click.option(
        "--offline",
        is_flag=True,
        is_eager=True,
        help="Make it without a server; without a site file, for the sample site.",
    )(command)


def site_or_sample(command: Command) -> Command:
    """For a command that needs no server: gives it `site_file`, by default the sample."""
    return click.option(
        "--site",
        "site_file",
        type=click.Path(path_type=Path),
        callback=_or_sample,
        help=f"The site file; default: {_SITE}, or without a server the sample if there is none.",
    )(command)


def _or_sample(context: click.Context, _: click.Parameter, value: Path | None) -> Path:
    if value is not None or _SITE.exists() or not context.params.get("offline", True):
        return value or _SITE
    if not context.resilient_parsing:  # else it completes a line that is being typed
        click.echo(f"there is no {_SITE} here: this is for the sample site, {SAMPLE}", err=True)
    return SAMPLE


def document(command: Command) -> Command:
    """For a command that only reads: gives it `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(
        command
    )


def manner(command: Command) -> Command:
    """For a command that runs steps: gives it `quiet`, `verbose` and `as_json`."""
    quiet = click.option("--quiet", is_flag=True, help="Print only the result; no tables.")
    verbose = click.option(
        "--verbose", is_flag=True, help="Print every command and the host's log; no live view."
    )
    events = click.option(
        "--json", "as_json", is_flag=True, help="Print events as JSON, one object per line."
    )
    return quiet(verbose(events(command)))


def to(says: str = "The last step; see plan for their names.") -> Option:
    return click.option("--to", metavar="STEP", shell_complete=steps, help=says)


def steps(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """The step names of the site file, for completion in the shell."""
    names = step_names.of(context.params.get("site_file") or _SITE)
    return [name for name in names if name.startswith(begun)]


def chaos(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """N or N:SEED, as the number of failures and the seed."""
    if value is None:
        return None
    count, colon, seed = value.partition(":")
    if not re.fullmatch(r"[1-9][0-9]{0,3}(:[0-9]{1,9})?", value):
        raise click.BadParameter(f"{value!r}: expected N or N:SEED, N from 1")
    return int(count), int(seed) if colon else secrets.randbelow(10**6)


def broken(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """STEP or STEP:N, as the step's name and the number of its command."""
    if value is None:
        return None
    step, _colon, number = value.partition(":")
    if not (number or "1").isdigit() or int(number or 1) < 1:
        raise click.BadParameter(f"{value!r}: expected STEP or STEP:N, N from 1")
    return step, int(number or 1)
