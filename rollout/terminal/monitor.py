"""One watch after the other: asks, tells what is new, and remembers what was told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import click

from rollout.errors import CellblockError, Refused, Stuck, Unreachable
from rollout.monitoring import looking, notify, prometheus, shown, state
from rollout.monitoring.state import Changes
from rollout.plan import Plan
from rollout.site import Site
from rollout.terminal import hooks, server
from rollout.terminal.harmless import harmless
from rollout.terminal.plain import out

EVENT = "watch"
"""What the hook hears."""


@dataclass(frozen=True)
class Told:
    """To whom a watch is told, besides standard output and the site's hook."""

    syslog: bool = False
    ping: str | None = None
    prometheus: Path | None = None
    as_json: bool = False

    def must_be_possible(self) -> None:
        """Raises Refused for what cannot be, before the host is asked."""
        if self.ping is not None and not notify.is_url(self.ping):
            raise Refused(
                f"--ping {self.ping}: expected a URL, as https://hc-ping.com/your-uuid",
                todo="see docs/commands.md: it is asked for at each watch",
            )
        file = self.prometheus
        if file is not None and not prometheus.can_be(file):
            raise Refused(
                f"--prometheus {file}: expected a file in a directory that is there",
                todo="name one in the directory that node_exporter's --collector.textfile reads, "
                "and with .prom at its end",
            )


def run(plan: Plan, told: Told, every: int | None) -> int:
    """Watch once, or every so many minutes, until somebody ends it. Returns the exit code."""
    told.must_be_possible()
    state.read(state.place(plan.site))
    if every is None:
        return watch(plan, told)
    while True:
        began = monotonic()
        try:
            watch(plan, told, indent=None)
        except CellblockError as error:  # a disk of this machine is full: it may not stay so
            click.echo(harmless(str(error)), err=True)
        sleep(max(0.0, began + every * 60 - monotonic()))


def watch(plan: Plan, told: Told, *, indent: int | None = 2) -> int:
    """One watch, with the exit code of what it found."""
    site, at = plan.site, state.now()
    looked = looking.look(partial(server.connected, plan, silent=True))
    place = state.place(site)
    changes = state.compare(site, state.read(place), looked, at)
    problems = _tell_programs(site, told, changes)
    after = changes.untold if problems else changes.after
    if told.prometheus is not None:
        content = prometheus.text(site, looked, changes, at)
        problems += filter(None, [prometheus.write(told.prometheus, content)])
    if told.ping is not None:
        problem = notify.ping(told.ping, well=not changes.open)
        problems += [f"--ping: {problem}"] if problem else []
    if told.as_json:
        out(json.dumps(shown.data(site, looked, changes, at, problems), indent=indent))
    elif changes.any:
        out(harmless(shown.text(changes)))
    for problem in problems:
        click.echo(harmless(f"warning: {problem}"), err=True)
    state.keep(place, after)
    if not looked.reached:
        return Unreachable.code
    return Stuck.code if changes.open else 0


def _tell_programs(site: Site, told: Told, changes: Changes) -> list[str]:
    """Tell the hook and syslog. Returns what went wrong: then all is told once more next time."""
    problems = []
    if changes.any and site.hooks.command is not None:
        problem = hooks.once(site, EVENT, shown.event(site, changes))
        problems += [f"the hook failed {problem}"] if problem else []
    if changes.any and told.syslog:
        problem = notify.syslog(shown.lines(site, changes))
        problems += [f"--syslog: {problem}"] if problem else []
    return problems
