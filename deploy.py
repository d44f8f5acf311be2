#!/usr/bin/env python3
"""Cellblock: moves the services of a live FreeBSD server into jails, step by step, and back."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from rollout import audit, drift, journal, plan, record, report, runbook, site, traffic
from rollout.box import standin_box
from rollout.errors import CellblockError, Refused, Stuck
from rollout.host import Ssh
from rollout.record import Record
from rollout.rehearsal import Rehearsal
from rollout.runner import Runner, no
from rollout.step import Gate, Step
from rollout.told import Result, Told
from rollout.watch import FromOutside, watches
from steps import mysql_by_name


class Printed(Told):
    """Tells a run on standard output, a line at a time."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def step(self, step: Step, doing: str) -> None:
        self.note(f"{step.name}: {doing}")

    def line(self, text: str) -> None:
        if not text.startswith(("state ", "reason ", "differences ")):
            self.note(f"    {text}")

    def result(self, result: Result) -> None:
        self.note(
            f"{result.step}: {result.outcome}, "
            f"{result.passed} of {len(result.checks)} checks passed, "
            f"{result.channels} channels, {result.trips} round trips"
        )

    def note(self, text: str) -> None:
        if not self.quiet:
            click.echo(text)


def _site_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--site",
        "site_file",
        type=click.Path(path_type=Path),
        default=Path("site.toml"),
        show_default=True,
        help="The site file; site.example.toml documents its keys.",
    )(command)


def _json_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(
        command
    )


def _to_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option("--to", metavar="STEP", help="The last step; see plan for their names.")(
        command
    )


def _print(data: Any, text: str, as_json: bool) -> None:
    click.echo(json.dumps(data, indent=2) if as_json else text)


def _ssh(made: plan.Plan) -> Ssh:
    host = made.site.host
    return Ssh(host.address, host.user, host.port, host.key, host.known_hosts)


def _broken(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    step, _colon, number = value.partition(":")
    if not (number or "1").isdigit() or int(number or 1) < 1:
        raise click.BadParameter(f"{value!r}: expected STEP or STEP:N, N from 1")
    return step, int(number or 1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cellblock")
def main() -> None:
    """Move the services of a live FreeBSD server into jails, step by step, and back.

    \b
    The usual way:
      check      does the site file fit the server? changes nothing
      plan       every command that will run
      rehearse   all of it on a stand-in: forward, back, forward again
      apply      for real; every step is checked, and undone if it fails
      rollback   back to where it began

    Exit codes: 0 done, 1 refused and nothing changed, 2 failed and rolled back, 3 stuck: hands are
    needed, 4 waiting at a gate, 5 host unreachable, 6 somebody else holds the lock.
    """


@main.command()
@_site_option
@_json_option
def check(site_file: Path, as_json: bool) -> None:
    """Ask whether the site file fits the server, and whether it is well. Changes nothing."""
    _ask_all(site_file, as_json, Refused.code)


@main.command(name="plan")
@_site_option
@_to_option
@_json_option
def plan_(site_file: Path, to: str | None, as_json: bool) -> None:
    """Print the steps, their exact commands, gates and expected outage. Changes nothing."""
    made = plan.make(site.read(site_file))
    with _runner(made, Told()) as runner:
        known = runner.known()
        runner.must_be_well(known, made.upto(to))
        done = {entry.directory for entry in known.done}
        ahead = [n for n in range(made.upto(to)) if made.directory(n) not in done]
        data = report.plan_data((runner.compiled(n), runner.gate(made.steps[n])) for n in ahead)
    _print(data, report.plan_text(data), as_json)


@main.command()
@_site_option
@_to_option
@click.option("--yes", is_flag=True, help="Say yes at every gate.")
@_json_option
def apply(site_file: Path, to: str | None, yes: bool, as_json: bool) -> None:
    """Run the steps that are not confirmed yet. A step that fails is undone."""
    made = plan.make(site.read(site_file))
    answer = _said_yes if yes else _ask_person
    _watched(made, "apply", as_json, answer, lambda runner: runner.apply(to))


@main.command()
@_site_option
@click.option("--to", metavar="STEP", help="The last step to keep; without it all are undone.")
@click.option(
    "--set-aside",
    is_flag=True,
    help="Where others changed what the undo removes, keep it on the host and go on.",
)
@_json_option
def rollback(site_file: Path, to: str | None, set_aside: bool, as_json: bool) -> None:
    """Undo steps, last first, and compare the host with before."""
    made = plan.make(site.read(site_file))
    _watched(
        made,
        "rollback",
        as_json,
        _said_yes,
        lambda runner: runner.rollback(to, set_aside=set_aside),
    )


@main.command()
@_site_option
@_json_option
def verify(site_file: Path, as_json: bool) -> None:
    """Ask every check of the steps that are confirmed. Exit code 3 when one fails."""
    _ask_all(site_file, as_json, Stuck.code)


@main.command()
@_site_option
@click.option("--drift", "drifted", is_flag=True, help="Tell what others changed since, too.")
@_json_option
def status(site_file: Path, drifted: bool, as_json: bool) -> None:
    """Tell what the host's journal says. Changes nothing."""
    made = plan.make(site.read(site_file))
    with _runner(made, Told()) as runner:
        data = report.status_data(made, journal.read(runner.session))
        found = drift.read(runner.session) if drifted else None
    text = report.status_table(data)
    if found is not None:
        data["drift"] = drift.data(found)
        text += f"\n\n{drift.text(found)}"
    _print(data, text, as_json)


@main.command(name="traffic")
@_site_option
@click.option(
    "--seconds", type=click.IntRange(1, 3600), help="Show rates, too, over so many seconds."
)
@click.option("--tcpdump", "jail", metavar="JAIL", help="Print what to type to see its packets.")
@_json_option
def traffic_(site_file: Path, seconds: int | None, jail: str | None, as_json: bool) -> None:
    """Show which jail sends and receives how much. Changes nothing."""
    made = plan.make(site.read(site_file))
    if jail is not None:
        lines = traffic.tcpdump(made.site, jail)
        _print(lines, "\n".join(lines), as_json)
        return
    with _runner(made, Told()) as runner:
        limit = 60.0 + (seconds or 0)
        data = traffic.read(
            made.site, lambda text: runner.session.output(text, limit=limit), seconds or 0
        )
    _print(data, traffic.table(data), as_json)


@main.command(name="runbook")
@_site_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="A directory; default: print it.",
)
@_json_option
def runbook_(site_file: Path, output: Path | None, as_json: bool) -> None:
    """Print the steps as a runbook that a person can follow by hand. Needs no host."""
    made = plan.make(site.read(site_file))
    pages = runbook.pages(made)
    if output is None:
        _print(pages, "\n".join(pages.values()), as_json)
        return
    output.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (output / name).write_text(text, encoding="utf-8")


@main.command()
@click.option(
    "--site",
    "site_file",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_name("site.example.toml"),
    help="The site file; default: the sample site.",
)
@click.option(
    "--break",
    "broken",
    metavar="STEP[:N]",
    callback=_broken,
    help="Let the Nth command of STEP fail; default: the first.",
)
@click.option("--quiet", is_flag=True, help="Only the end.")
@_json_option
def rehearse(site_file: Path, broken: tuple[str, int] | None, quiet: bool, as_json: bool) -> None:
    """Rehearse on the stand-in: apply, verify, roll back, compare with before, apply again."""
    made = plan.make(site.read(site_file))
    with (
        tempfile.TemporaryDirectory(prefix="cellblock-") as folder,
        standin_box(made.site, Path(folder)) as box,
    ):
        files = record.folder(made.site.name, "rehearse")
        rehearsal = Rehearsal(made, box, Printed(quiet or as_json), files)
        rehearsal.record.say = partial(click.echo, err=as_json)
        try:
            with rehearsal.record:
                if broken:
                    rehearsal.broken(*broken)
                else:
                    rehearsal.whole()
        finally:
            if as_json:
                _print([vars(act) for act in rehearsal.acts], "", as_json)
    click.echo(
        "rehearsed on the stand-in, not on a FreeBSD: every act ended as it should", err=as_json
    )


@main.command(name="audit")
@_site_option
@click.option("--fix", is_flag=True, help="Take away others' write and set-uid modes.")
@click.option("--undo", is_flag=True, help="Put back the modes of the last --fix.")
@click.option(
    "--notices",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a notice for each account that looks for MySQL on localhost into this directory.",
)
@_json_option
def audit_(site_file: Path, fix: bool, undo: bool, notices: Path | None, as_json: bool) -> None:
    """List by account what others may write, set-uid files, and MySQL looked for on localhost."""
    made = plan.make(site.read(site_file))
    if fix and undo:
        raise click.UsageError("--fix and --undo at once")
    with _runner(made, Told()) as runner:
        if undo:
            restored, left = audit.undo(runner.session)
            told = {"restored": restored, "left": left}
            lines = [f"{kind} {each}" for kind, them in told.items() for each in them]
            _print(told, "\n".join(lines), as_json)
            return
        mended = audit.fix(runner.session, made.site) if fix else []
        found = audit.look(runner.session, made.site)
    if notices is not None:
        notices.mkdir(parents=True, exist_ok=True)
        for account, text in mysql_by_name.notices(made.site, audit.still_local(found)).items():
            (notices / f"{account}.txt").write_text(text, encoding="utf-8")
    text = "\n".join([*(f"mended {each}" for each in mended), audit.table(found)])
    _print({"mended": mended, "findings": audit.data(found)}, text, as_json)


def _said_yes(gate: Gate) -> bool:
    return True


def _ask_person(gate: Gate) -> bool:
    """Nobody to ask, as in a cron job, is a no: the run stops at the gate."""
    if not sys.stdin.isatty():
        return False
    click.echo("\n".join(["", "Look at:", *(f"  - {each}" for each in gate.look_at)]), err=True)
    return click.confirm(gate.question, err=True)


def _ask_all(site_file: Path, as_json: bool, code: int) -> None:
    """Print every check that must hold now; exit with `code` when one does not."""
    made = plan.make(site.read(site_file))
    with _runner(made, Told()) as runner:
        verdicts = runner.verify()
    _print([vars(verdict) for verdict in verdicts], report.verdicts_table(verdicts), as_json)
    if not all(verdict.passed for verdict in verdicts):
        sys.exit(code)


@contextmanager
def _runner(made: plan.Plan, told: Told, answer: Callable[[Gate], bool] = no) -> Iterator[Runner]:
    """A runner for the live host, which can be reached."""
    target = _ssh(made)
    with (
        closing(FromOutside(target)) as outside,
        Runner(made, target, outside, told, answer) as runner,
    ):
        runner.contact.connect()
        yield runner


def _watched(
    made: plan.Plan,
    name: str,
    as_json: bool,
    answer: Callable[[Gate], bool],
    run: Callable[[Runner], None],
) -> None:
    """Run under the eyes of the prober, and print what it came to, however it ended."""
    target, say = _ssh(made), partial(click.echo, err=as_json)
    with (
        Record(made, name, target.name, record.folder(made.site.name, name), say) as kept,
        _runner(made, Printed(as_json), answer) as runner,
    ):
        try:
            with kept.act(name, runner, watches(made.site), target.argv("/bin/sh")):
                run(runner)
        finally:
            _print(kept.results, report.results_table(kept.results), as_json)


def run() -> None:
    """The one place where an error becomes an exit code."""
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(Refused.code)  # click's own code, 2, says here that a step was rolled back
    except CellblockError as error:
        click.echo(str(error).encode(errors="replace"), err=True)
        sys.exit(error.code)


if __name__ == "__main__":
    run()
