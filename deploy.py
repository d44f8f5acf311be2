#!/usr/bin/env python3
"""Cellblock: moves the services of a live FreeBSD server into jails, step by step, and back."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any


def _missing(error: ModuleNotFoundError) -> str:
    return (
        f"cellblock needs the Python package {error.name}, which is not installed\n"
        "  -> in a checkout: make setup, and then .venv/bin/cellblock; else: install cellblock anew"
    )


try:
    import click
except ModuleNotFoundError as error:
    sys.exit(_missing(error))

# When installed, all modules are inside the package cellblock, so that their names cannot clash.
# This process and those that it starts import them by their names in the repository.
if __package__:
    sys.path.insert(0, str(Path(__file__).parent))

from box.kinds import KINDS
from rollout import SAMPLE
from rollout.errors import CellblockError, Interrupted, Refused, Stuck, Unreachable
from rollout.terminal import options
from rollout.terminal.harmless import harmless

_COLLECTED_AFTER = 100_000
"""Objects until Python looks for cycles, of which a run makes few: at 700, its default, a tenth of
the time of check went into that.
"""

# Each command imports what it needs, so that --help and completion are fast.
if TYPE_CHECKING:
    from box.kinds import Kind
    from rollout.engine.runner import Runner
    from rollout.host.survey import Recording
    from rollout.plan import Plan
    from rollout.plan.step import Gate
    from rollout.rehearsal.box import Box

    Say = Callable[[str], None]


def _print(data: Any, text: str, as_json: bool) -> None:
    click.echo(json.dumps(data, indent=2) if as_json else harmless(text))


def _planned(site_file: Path, step: str | None = None) -> Plan:
    """The plan. Raises Refused, too, if it has no `step`, before a connection takes its time."""
    from rollout import plan, site

    made = plan.make(site.read(site_file))
    made.upto(step)
    return made


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\nThe sample site file, which explains each key:\n  {SAMPLE}",
)
@click.version_option(package_name="cellblock")
def main() -> None:
    """Move the services of a live FreeBSD server into jails, step by step, and back.

    \b
    The usual order:
      survey     look at the server and draft its site file; changes nothing
      check      does the site file fit the server? changes nothing
      plan       what will happen: steps, outages, gates; changes nothing
      rehearse   apply, roll back and apply again on a stand-in
      apply      for real; every step is checked, and undone if it fails
      status     where the host stands, and what to type next
      watch      after the move, from cron: what is wrong now? changes nothing
      rollback   undo the steps, last first

    \b
    Examples:
      cellblock rehearse                       # needs no server and no site file
      cellblock survey root@203.0.113.2
      cellblock plan --offline mysql.cutover   # what happens to MySQL, for how long; no server
      cellblock status                         # it failed: why, and what to do now
      cellblock apply --help                   # each command has its own help

    apply, rollback and rehearse write a report, a page to read or to show to others; its path is
    printed at the end. All are kept in ~/.local/state/cellblock.

    Exit codes: 0 done, 1 refused and nothing changed, 2 failed and rolled back, 3 stuck: manual
    repair is needed, 4 waiting at a gate, 5 host unreachable, 6 another run holds the lock,
    130 interrupted by ^C.
    """


@main.command(name="survey")
@click.argument("host", metavar="[USER@]HOST", callback=options.host)
@options.way_in
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write; default: HOST.survey. None is overwritten.",
)
@click.option(
    "--site",
    "site_file",
    type=click.Path(path_type=Path),
    help="A site file that you have: also ask what check and plan of it ask, for --survey.",
)
@options.document
def survey_(
    host: tuple[str, str],
    output: Path | None,
    site_file: Path | None,
    *,
    become: str | None,
    port: int,
    key: str | None,
    known_hosts: str | None,
    as_json: bool,
) -> None:
    """Look at a server by ssh, read only, draft its site file, and assess it.

    It writes a folder: site.toml, the draft, with each service that listens there and that
    Cellblock can move, where each value was seen, and a few questions that only you can answer;
    assessment.txt and .json, with all that stops a move or is worth a look, and what to do; and
    survey.json, what the server answered, without secrets. Cellblock's own checks are run on the
    draft: a service that they refuse stays on the host for now, and the assessment says why.

    \b
    Examples:
      cellblock survey root@203.0.113.2                     # into 203.0.113.2.survey
      cellblock survey root@203.0.113.2 --output www.survey
      cellblock survey anna@www.example.org --become doas
      cellblock check --survey 203.0.113.2.survey           # later, without the server
      cellblock survey root@203.0.113.2 --json | jq .assessment.findings
    """
    from contextlib import closing

    from rollout.host.session import Ssh
    from rollout.probe.outside import FromOutside
    from rollout.terminal import server
    from survey import summary
    from survey.drafting import Way
    from survey.survey import survey

    user, address = host
    way = Way(address, user, become, port, key, known_hosts)
    folder = output or Path(f"{address.replace(':', '_')}.survey")
    summary.must_be_new(folder)
    also = _planned(site_file) if site_file else None
    target = Ssh(address, user, port, way.key_file, way.known_hosts_file, become)
    with closing(FromOutside(target)) as outside:
        found = survey(target, way, outside, server.announced(target.name), also)
    with _written(f"--output {folder}: the survey"):
        summary.write(folder, found)
    data = found.data() | {"folder": str(folder), "file": str(folder / summary.SITE)}
    _print(data, summary.text(found, folder), as_json)
    if not found.moves:
        sys.exit(Refused.code)


@main.command()
@options.site
@options.survey
@options.document
def check(site_file: Path, survey: Path | None, as_json: bool) -> None:
    """Check the server against the site file, and its health. Changes nothing.

    \b
    Examples:
      cellblock check --site site.toml
      cellblock check --survey 203.0.113.2.survey    # its survey, and no server
      cellblock check --json | jq '.[] | select(.passed | not)'    # the failed ones
    """
    _run_all_checks(site_file, as_json, Refused.code, compiles=True, survey=survey)


@main.command(name="plan")
@options.offline
@options.site_or_sample
@options.survey
@click.argument("step", required=False, shell_complete=options.steps)
@options.to()
@click.option("--full", is_flag=True, help="Print all commands of all steps.")
@click.option(
    "--answers",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the questions of the gates ahead into this file, for apply --answers.",
)
@options.document
def plan_(
    site_file: Path,
    step: str | None,
    to: str | None,
    *,
    offline: bool,
    survey: Path | None,
    full: bool,
    answers: Path | None,
    as_json: bool,
) -> None:
    """Show what apply would do. Changes nothing.

    One line per step: what it does, how many commands, who notices, for how long, and gates.

    With STEP it prints that step's commands, its gate, its checks and its expected outage.

    \b
    Examples:
      cellblock plan                            # one screen: the steps that are left
      cellblock plan mysql.cutover              # what would happen to MySQL, and for how long
      cellblock plan --offline mysql.cutover    # the same without a server
      cellblock plan --survey 203.0.113.2.survey    # for a server as its survey has it
      cellblock plan --full | less              # every command that will run
      cellblock plan --to mysql.cutover         # no further than apply --to would go
      cellblock plan --answers said.toml        # the gates as a file to fill in; keeps what is said
    """
    from rollout.report import plans
    from rollout.terminal import ahead

    if step and (to or full):
        raise click.UsageError("expected STEP, or --to and --full, not both")
    if step and answers:
        raise click.UsageError("--answers is for all gates ahead: give it without STEP")
    if offline and survey:
        raise click.UsageError("--offline and --survey were given together: give one")
    with _offline_offered(site_file, step):
        made = _planned(site_file, step or to)
        if offline:
            steps = ahead.offline(made, step, to)
        else:
            with _reached(made, survey) as runner:
                steps = ahead.on_server(runner, step, to)
    if answers is not None:
        _ask_in(answers, [(each.step.name, gate) for each, gate, _ in steps if gate])
    data = plans.data(steps)
    text = plans.full(data) if step or full else plans.short(steps)
    _print(data, f"{plans.OFFLINE}\n\n{text}" if offline else text, as_json)


def _ask_in(file: Path, asked: list[tuple[str, Gate]]) -> None:
    from rollout.engine import answers

    left = answers.write(file, asked)
    some = f"{len(left)} of {len(asked)} gate(s) have no answer in it yet"
    click.echo(f"wrote {file}: {some}; then: cellblock apply --answers {file}", err=True)


def _reached(made: Plan, survey: Path | None) -> AbstractContextManager[Runner]:
    """A runner for the server, or for its survey."""
    from rollout.terminal import server

    if survey is None:
        return server.connected(made)
    return server.surveyed(made, survey, partial(click.echo, err=True))


@contextmanager
def _offline_offered(site_file: Path, step: str | None) -> Iterator[None]:
    """A plan that lacks its server or its site file also says how to plan without them."""
    try:
        yield
    except CellblockError as error:
        if isinstance(error, Unreachable) or not site_file.exists():
            words = f"without a server: cellblock plan --offline {step or ''}".strip()
            error.todo = f"{error.todo}; {words}" if error.todo else words
        raise


@main.command()
@options.site
@options.to()
@click.option("--yes", is_flag=True, help="Say yes at every gate, in your name.")
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    help="A TOML file with the answers at gates: one table per step, with answer and by.",
)
@click.option("--by-hand", is_flag=True, help="Show the commands and wait while you type them.")
@click.option("--strict", is_flag=True, help="Refuse steps not rehearsed on this release.")
@options.manner
def apply(
    site_file: Path,
    to: str | None,
    yes: bool,
    answers: Path | None,
    *,
    by_hand: bool,
    strict: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Run the steps that are not confirmed yet. A step that fails is undone.

    It warns about steps that were never rehearsed in their current form, and says on what box the
    others were.

    On a terminal it shows the step, the command, the seconds to the automatic rollback, and which
    side (host or jail) answers clients. It prompts only at gates. ^C ends it on your machine, not
    on the host, and it says what happens to the step.

    \b
    Examples:
      cellblock apply --to mysql.jail       # as far as you like; go on with apply
      cellblock apply                       # all that is left, stopping at gates
      cellblock apply --answers said.toml   # answers that others gave, by name
      cellblock apply --by-hand             # you type the commands
      cellblock apply --strict              # only what was rehearsed on this release
      cellblock apply --yes --quiet         # from a script; see the exit code
      cellblock apply --json | jq -r 'select(.event == "result") | .step + " " + .outcome'
    """
    from rollout.engine import gates
    from rollout.runbook.manual import Manual, at_terminal
    from rollout.terminal import under_prober
    from rollout.terminal.output import Manner, show_run

    made = _planned(site_file, to)
    answer = gates.chosen(made, yes, answers)
    manual = Manual(at_terminal()) if by_hand else None
    asks = not yes and not answers and sys.stdin.isatty()
    say = partial(click.echo, err=as_json)
    with show_run(made, "apply", Manner(quiet, as_json, verbose or by_hand), asks=asks) as listener:
        under_prober.watched(
            made,
            "apply",
            listener,
            answer,
            lambda runner: under_prober.apply(runner, to, strict=strict),
            say=say,
            manual=manual,
        )


@main.command()
@options.site
@options.to("The last step to keep; without it, all are undone.")
@click.option(
    "--set-aside",
    is_flag=True,
    help="If others changed what the undo removes, save it on the host instead of refusing.",
)
@options.manner
def rollback(
    site_file: Path,
    to: str | None,
    *,
    set_aside: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Undo steps, last first, and compare the host with before.

    \b
    Examples:
      cellblock rollback                    # all the way back
      cellblock rollback --to web.standby   # undo what came after that step
      cellblock rollback --set-aside        # save what others changed
    """
    from rollout.engine import gates
    from rollout.terminal import under_prober
    from rollout.terminal.output import Manner, show_run

    made = _planned(site_file, to)
    with show_run(made, "rollback", Manner(quiet, as_json, verbose)) as listener:
        under_prober.watched(
            made,
            "rollback",
            listener,
            gates.nobody,
            lambda runner: runner.rollback(to, set_aside=set_aside),
            say=partial(click.echo, err=as_json),
        )


@main.command()
@options.site
@options.document
def verify(site_file: Path, as_json: bool) -> None:
    """Run all checks of the confirmed steps again. Exit code 3 when one fails.

    \b
    Example:
      cellblock verify || mail -s 'cellblock: a check fails' root < /dev/null
    """
    _run_all_checks(site_file, as_json, Stuck.code)


@main.command(name="watch")
@options.site
@click.option(
    "--every",
    metavar="MINUTES",
    type=click.IntRange(1, 10080),
    help="Go on, and watch again after so many minutes; default: once, for cron.",
)
@click.option("--syslog", is_flag=True, help="Also tell the syslogd of this machine.")
@click.option(
    "--ping",
    metavar="URL",
    help="Get this URL if all is well, and URL/fail if not, as healthchecks.io wants it.",
)
@click.option(
    "--prometheus",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write this file, for the textfile collector of node_exporter.",
)
@options.document
def watch_(
    site_file: Path,
    every: int | None,
    *,
    syslog: bool,
    ping: str | None,
    prometheus: Path | None,
    as_json: bool,
) -> None:
    """After the move: say what is wrong, once; nothing while all is well. Changes nothing.

    It runs the checks of the confirmed steps, and looks at drift, at certificates that end soon,
    at file systems, limits and mail queues, at jails that do not run, and at steps that were left
    in the middle. It tells what is new, again after a day, and when it is over, on standard output
    and by the site file's hook. It ends with exit code 3 if there is a finding, told now or
    before, and with 5 if the host could not be asked.

    \b
    Examples:
      */15 * * * * .local/bin/cellblock watch --site site.toml    # in your crontab
      cellblock watch --every 15 --syslog
      cellblock watch --ping https://hc-ping.com/your-uuid
      cellblock watch --json | jq -r '.findings[] | .id'         # all, whether told or not
    """
    from rollout.terminal import monitor

    made = _planned(site_file)
    code = monitor.run(made, monitor.Told(syslog, ping, prometheus, as_json), every)
    if code:
        sys.exit(code)


@main.command()
@options.site
@click.option("--drift", "drifted", is_flag=True, help="Also show what others changed since.")
@options.document
def status(site_file: Path, drifted: bool, as_json: bool) -> None:
    """Show where the host stands, and what to type next.

    It shows the state of each step as recorded on the host, and changes nothing. It ends with exit
    code 3 when a step is stuck.

    \b
    Examples:
      cellblock status             # from any machine with the site file
      cellblock status --drift     # before a rollback: what did others change since?
    """
    from rollout.engine import drift
    from rollout.host import journal
    from rollout.report import status as statuses
    from rollout.terminal import server

    made = _planned(site_file)
    with server.connected(made) as runner:
        known = journal.read(runner.session)
        data = statuses.data(made, known)
        found = drift.read(runner.session) if drifted else None
    text = statuses.text(data)
    if found is not None:
        data["drift"] = drift.data(found)
        text += f"\n\n{drift.text(found)}"
    _print(data, text, as_json)
    if statuses.stuck(known):
        sys.exit(Stuck.code)


@main.command(name="usage")
@options.site
@click.option(
    "--seconds",
    type=click.IntRange(1, 3600),
    help="Also show rates, measured over that many seconds.",
)
@click.option("--tcpdump", "jail", metavar="JAIL", help="Print the commands that show its packets.")
@options.document
def usage_(site_file: Path, seconds: int | None, jail: str | None, as_json: bool) -> None:
    """Show packets, bytes, memory, CPU, processes and disk space by jail. Changes nothing.

    \b
    Examples:
      cellblock usage --seconds 10
      cellblock usage --tcpdump web
    """
    from rollout import usage
    from rollout.terminal import server

    made = _planned(site_file)
    if jail is not None:
        lines = usage.tcpdump(made.site, jail)
        _print(lines, "\n".join(lines), as_json)
        return
    with server.connected(made) as runner:
        limit = 60.0 + (seconds or 0)
        data = usage.read(
            made.site, lambda text: runner.session.output(text, limit=limit), seconds or 0
        )
    _print(data, usage.table(data), as_json)


@main.command(name="runbook")
@options.site_or_sample
@click.argument("step", required=False, shell_complete=options.steps)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="A directory; default: print it.",
)
@click.option(
    "--html", is_flag=True, help="HTML instead of Markdown: an index, checkboxes, copy buttons."
)
@options.document
def runbook_(
    site_file: Path, step: str | None, output: Path | None, *, html: bool, as_json: bool
) -> None:
    """Print the steps as a runbook that a person can follow by hand. Needs no host.

    With STEP it prints that step alone.

    \b
    Examples:
      cellblock runbook | less
      cellblock runbook mysql.cutover
      cellblock runbook --output runbooks     # one file per service
      cellblock runbook --html --output runbooks
    """
    from rollout.runbook import pages

    if step and output:
        raise click.UsageError("expected STEP, or --output for all steps, not both")
    made = _planned(site_file, step)
    texts = pages.pages(made, "html" if html else "md", step)
    if output is None:
        _print(texts, "\n".join(texts.values()), as_json)
        return
    with _written(f"--output {output}: the runbook"):
        output.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (output / name).write_text(text, encoding="utf-8")


@contextmanager
def _written(what: str) -> Iterator[None]:
    """Files of the operator's are written within. Raises Refused where that fails."""
    try:
        yield
    except OSError as error:
        raise Refused(
            f"{what} cannot be written there: {error.strerror}",
            todo="name a directory in which you may create files",
        ) from None


@main.command()
@click.argument("image", type=click.Path(path_type=Path), required=False)
@click.option(
    "--on",
    "where",
    type=click.Choice(list(KINDS)),
    default="standin",
    show_default=True,
    help="The box.",
)
@options.rehearsed
@click.option(
    "--break",
    "broken",
    metavar="STEP[:N]",
    callback=options.broken,
    shell_complete=options.steps,
    help="Inject a failure at the Nth command of STEP; default: the first.",
)
@click.option(
    "--chaos",
    metavar="N[:SEED]",
    callback=options.chaos,
    help="Inject N random failures instead, and check how each ends.",
)
@click.option("--hooks", is_flag=True, help="Also run the site file's hook, to try it.")
@options.manner
def rehearse(
    site_file: Path,
    where: str,
    image: Path | None,
    *,
    survey: Path | None,
    broken: tuple[str, int] | None,
    chaos: tuple[int, int] | None,
    hooks: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Rehearse on a box that may break.

    It applies, verifies, rolls back, compares with before, applies again, runs all steps a second
    time, restarts and verifies. It ends with a verdict on each step.

    The box is the stand-in, or a real FreeBSD: under qemu, from IMAGE or the official one, or
    under vagrant (Cellblock's docs/box.md). It is deleted afterwards. What was
    rehearsed is recorded, for apply.

    With --survey the stand-in is the surveyed server, as far as a survey and a stand-in go: what it
    does not have of that server is listed first, and in the report.

    \b
    Examples:
      cellblock rehearse                           # the sample site, on the stand-in
      cellblock rehearse --site site.toml --quiet
      cellblock rehearse --survey 203.0.113.2.survey   # as that server was surveyed
      cellblock rehearse --on qemu                 # the official FreeBSD, fetched when first wanted
      cellblock rehearse --on qemu my.qcow2        # an image of yours, its ssh key beside it
      cellblock rehearse --break mysql.cutover:7   # fails and is rolled back: exit code 2
      cellblock rehearse --chaos 10                # random failures; --chaos 10:SEED repeats
    """
    from rollout.rehearsal import faults
    from rollout.rehearsal.rehearsal import Rehearsal
    from rollout.report import record
    from rollout.terminal.output import Manner, ended_by_sigterm, show_run

    made = _planned(site_file)
    if hooks and made.site.hooks.command is None:
        raise Refused(
            f"--hooks: {made.site.path} has no command to try",
            todo=f"see [hooks] in {SAMPLE}",
        )
    if broken and chaos:
        raise click.UsageError("--break and --chaos were given together: give one")
    if broken:
        faults.must_exist(made, *broken)
    kind = KINDS[where]
    recording = _rehearsable(made, survey, where, image) if survey else None
    with (
        ended_by_sigterm(),
        show_run(
            made, "rehearse", Manner(quiet, as_json, verbose), hooks=hooks, box=kind.title
        ) as listener,
        _box(kind, made, image, recording, listener.note) as (box, lacking),
    ):
        rehearsal = Rehearsal(made, box, listener, record.folder(made.site.name, "rehearse"))
        rehearsal.record.not_modelled = lacking
        rehearsal.record.say = partial(click.echo, err=as_json)
        with rehearsal.record:
            if broken:
                rehearsal.broken(*broken)
            elif chaos:
                rehearsal.chaos(*chaos)
            else:
                rehearsal.whole()
    on = box.name if box.is_freebsd else f"{box.name}, not on a real FreeBSD"
    if recording is not None:
        on = f"the stand-in of {recording.host} as surveyed at {recording.made}, not on that host"
    click.echo(f"rehearsed on {on}: everything ended as expected", err=as_json)


def _rehearsable(made: Plan, survey: Path, where: str, image: Path | None) -> Recording:
    """The survey. Raises Refused if `check` refuses that server, before a box takes its time."""
    from rollout.host import survey as surveys
    from survey.standin import compared

    if where != "standin" or image is not None:
        raise Refused(
            "a survey is rehearsed on the stand-in, which is built from it",
            todo="leave --on out; or rehearse its site file on a box: --site, without --survey",
        )
    recording = surveys.read(survey)
    refused = compared.refusal(recording, made)
    if refused is not None:
        raise refused
    return recording


@contextmanager
def _box(
    kind: Kind, made: Plan, image: Path | None, recording: Recording | None, say: Say
) -> Iterator[tuple[Box, list[str]]]:
    """The box, and in words what it does not have of a surveyed server."""
    if recording is None:
        with kind.open(made.site, image, say) as box:
            yield box, []
        return
    from survey.standin.box import surveyed_box

    with surveyed_box(made, recording, say) as found:
        yield found


@main.command(name="audit")
@options.site
@click.option("--fix", is_flag=True, help="Remove world-writable and set-uid modes.")
@click.option("--undo", is_flag=True, help="Restore the modes that the last --fix removed.")
@click.option(
    "--notices",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a notice into this directory for each account that uses MySQL on localhost.",
)
@options.document
def audit_(site_file: Path, fix: bool, undo: bool, notices: Path | None, as_json: bool) -> None:
    """List unsafe files in homes, by account.

    They are world-writable and set-uid files, files that use MySQL through localhost, and what
    accounts use of each other's.

    \b
    Examples:
      cellblock audit
      cellblock audit --notices letters    # one letter per account
      cellblock audit --fix                # and back: audit --undo
    """
    from rollout import audit
    from rollout.terminal import server
    from steps import mysql_by_name

    made = _planned(site_file)
    if fix and undo:
        raise click.UsageError("--fix and --undo were given together: give one")
    if notices is not None:
        with _written(f"--notices {notices}: the notices"):
            notices.mkdir(parents=True, exist_ok=True)
    with server.connected(made) as runner:
        if undo:
            restored, left = audit.undo(runner.session)
            modes = {"restored": restored, "left": left}
            lines = [f"{kind} {each}" for kind, them in modes.items() for each in them]
            _print(modes, "\n".join(lines), as_json)
            return
        mended = audit.fix(runner.session, made.site) if fix else []
        found = audit.search(runner.session, made.site)
    if notices is not None:
        with _written(f"--notices {notices}: the notices"):
            for account, text in mysql_by_name.notices(made.site, audit.still_local(found)).items():
                (notices / f"{account}.txt").write_text(text, encoding="utf-8")
    text = "\n".join([*(f"fixed {each}" for each in mended), audit.table(found)])
    _print({"mended": mended, "findings": audit.data(found)}, text, as_json)


def _run_all_checks(
    site_file: Path,
    as_json: bool,
    code: int,
    *,
    compiles: bool = False,
    survey: Path | None = None,
) -> None:
    """Run all checks of the confirmed steps; exit with `code` if one fails.

    With `compiles` the other steps are compiled then, too: one may have to refuse this host.
    """
    from rollout.report import tables

    made = _planned(site_file)
    with _reached(made, survey) as runner:
        verdicts, fitting = runner.check() if compiles else (runner.verify(), None)
        _print([vars(verdict) for verdict in verdicts], tables.verdicts_table(verdicts), as_json)
        if not all(verdict.passed for verdict in verdicts):
            sys.exit(code)
        if fitting:
            fitting.must_fit()


def run() -> None:
    """Run the command line. Only here an error becomes an exit code."""
    gc.set_threshold(_COLLECTED_AFTER)
    try:
        main(standalone_mode=False, prog_name="cellblock")
    except click.ClickException as error:
        error.show()
        sys.exit(Refused.code)  # click's own code, 2, means here that a step was rolled back
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(Interrupted.code)
    except CellblockError as error:
        click.echo(harmless(str(error)), err=True)
        sys.exit(error.code)
    except ModuleNotFoundError as error:
        click.echo(_missing(error), err=True)
        sys.exit(Refused.code)


if __name__ == "__main__":
    run()
