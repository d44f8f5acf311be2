"""Options that several commands have."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rollout import SAMPLE
from rollout.terminal import step_names

Command = Callable[..., None]
Option = Callable[[Command], Command]
T = TypeVar("T")
Callback = Callable[[click.Context, click.Parameter, str | None], T | None]

_SITE = Path("site.toml")


def site(command: Command) -> Command:
    """Gives the command `site_file`."""
    says = "The site file; cellblock --help says where the sample is."
    return _site_file(says, callback=_of_survey, show_default=str(_SITE))(command)


def _site_file(says: str, **more: Any) -> Option:
    return click.option("--site", "site_file", type=click.Path(path_type=Path), help=says, **more)


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
    says = f"The site file; default: {_SITE}, or without a server the sample if there is none."
    return _site_file(says, callback=_or_sample)(command)


def _or_sample(context: click.Context, _: click.Parameter, value: Path | None) -> Path:
    if context.params.get("survey"):
        return _of_survey(context, _, value)
    if value is not None or _SITE.exists() or not context.params.get("offline", True):
        return value or _SITE
    if not context.resilient_parsing:  # else it completes a line that is being typed
        click.echo(f"there is no {_SITE} here: this is for the sample site, {SAMPLE}", err=True)
    return SAMPLE


def rehearsed(command: Command) -> Command:
    """For a rehearsal: gives it `survey`, and `site_file`: of the survey, or else the sample."""
    site_file = _site_file(
        "The site file; default: that of the survey, or the sample site.", callback=_rehearsed
    )
    says = "Rehearse for this surveyed server: the stand-in is built from it (cellblock survey)."
    of = click.option("--survey", type=click.Path(path_type=Path), is_eager=True, help=says)
    return site_file(of(command))


def _rehearsed(context: click.Context, _: click.Parameter, value: Path | None) -> Path:
    return _of_survey(context, _, value) if context.params.get("survey") else value or SAMPLE


def survey(command: Command) -> Command:
    """For a command that only reads: gives it `survey`. Goes below `site`, which it precedes."""
    return click.option(
        "--survey",
        type=click.Path(path_type=Path),
        is_eager=True,
        help="Ask this survey (a folder of cellblock survey) in place of the server; the site file "
        "is then the one in it, unless --site names another.",
    )(command)


def _of_survey(context: click.Context, _: click.Parameter, value: Path | None) -> Path:
    folder: Path | None = context.params.get("survey")
    return value or (folder / _SITE.name if folder else _SITE)


def way_in(command: Command) -> Command:
    """For a command without a site file: how ssh reaches the host, as [host] says it elsewhere."""
    ways = click.Choice(["doas", "sudo", "mdo"])
    become = click.option("--become", type=ways, help="How USER becomes root.")
    port = click.option(
        "--port", type=click.IntRange(1, 65535), default=22, show_default=True, help="Of sshd."
    )
    key = click.option("--key", type=click.Path(), help="Default: the one that ssh would use.")
    known = click.option(
        "--known-hosts", type=click.Path(), help="Default: the file that ssh would use."
    )
    return become(port(key(known(command))))


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


def _read(pattern: str, expected: str, made: Callable[[re.Match[str]], T]) -> Callback[T]:
    """A callback: `made` turns a value that matches the pattern into its parts."""

    def read(_: click.Context, __: click.Parameter, value: str | None) -> T | None:
        if value is None:
            return None
        found = re.fullmatch(pattern, value)
        if found is None:
            raise click.BadParameter(f"{value!r}: expected {expected}")
        return made(found)

    return read


chaos = _read(
    r"([1-9][0-9]{0,3})(?::([0-9]{1,9}))?",
    "N or N:SEED, N from 1",
    lambda found: (int(found[1]), int(found[2]) if found[2] else secrets.randbelow(10**6)),
)
"""The number of failures and the seed."""

broken = _read(
    "([^:]*)(?::(0*[1-9][0-9]*)?)?",
    "STEP or STEP:N, N from 1",
    lambda found: (found[1], int(found[2] or 1)),
)
"""The step's name and the number of its command."""

host = _read(
    r"(?:([A-Za-z_][A-Za-z0-9_-]*)@)?([A-Za-z0-9:][A-Za-z0-9.:_%-]*)",
    "[USER@]HOST, as root@203.0.113.2",
    lambda found: (found[1] or "root", found[2]),
)
"""The user and the address."""
