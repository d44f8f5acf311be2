"""A run on the live server: the way there, the plan for it as it is, and a run under the prober."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer

import click

from rollout.engine.gates import Answer, nobody
from rollout.engine.listener import Listener
from rollout.engine.runner import ManualEntry, Runner
from rollout.errors import Refused
from rollout.host import bundle, survey
from rollout.host.replay import Replay
from rollout.host.session import CONNECT_WITHIN, Ssh
from rollout.plan import Plan
from rollout.probe.outside import FromOutside, translated, watches
from rollout.probe.private import private_watches
from rollout.probe.recorded import OfSurvey
from rollout.rehearsal import history
from rollout.report import record
from rollout.report.plans import Ahead
from rollout.site import Site

_PATIENCE = 1.0  # seconds: a connection that takes longer is announced


@contextmanager
def connected(
    made: Plan,
    listener: Listener | None = None,
    answer: Answer | None = None,
    manual: ManualEntry | None = None,
) -> Iterator[Runner]:
    """A runner for the live host. Raises Unreachable if the host does not answer."""
    target = ssh(made.site)
    with (
        closing(FromOutside(target, translated(made.site))) as outside,
        Runner(
            made, target, outside, listener or Listener(), answer or nobody, manual=manual
        ) as runner,
    ):
        with announced(target.name):
            runner.connection.connect()
        outside.certificates.watch(watches(made.site))
        yield runner


@contextmanager
def surveyed(made: Plan, folder: Path, say: Callable[[str], None]) -> Iterator[Runner]:
    """A runner that reads a survey in the place of the host, and says so. Raises Refused for a
    folder that has none.
    """
    recording = survey.read(folder)
    outside = OfSurvey(recording)
    outside.certificates.watch(watches(made.site))
    session = Replay(recording)
    say(
        f"asking the survey of {recording.host} ({recording.release}) of {recording.made}, "
        "and not the server"
    )
    with Runner(made, session.target, outside, Listener(), session=session) as runner:
        yield runner


@contextmanager
def announced(name: str) -> Iterator[None]:
    """Within it a connection to this host is made: one that takes a while is said."""
    said = f"connecting to {name} (up to {CONNECT_WITHIN} s)"
    waiting = Timer(_PATIENCE, click.echo, (said,), {"err": True})
    waiting.start()
    try:
        yield
    finally:
        waiting.cancel()


def watched(
    made: Plan,
    name: str,
    listener: Listener,
    answer: Answer,
    run: Callable[[Runner], None],
    *,
    say: Callable[[str], None],
    manual: ManualEntry | None = None,
) -> None:
    """Run while the prober watches the services, and show the result, however the run ends."""
    target = ssh(made.site)
    with (
        record.Record(made, name, target.name, record.folder(made.site.name, name), say) as kept,
        connected(made, listener, answer, manual) as runner,
        private_watches(made.site, target, listener.note) as private,
    ):
        listener.act(name)
        error: BaseException | None = None
        try:
            with kept.act(name, runner, (*watches(made.site), *private), target.sh()):
                run(runner)
        except BaseException as raised:
            error = raised
            raise
        finally:
            listener.ended(kept.results, kept.summary(error))


def apply(runner: Runner, to: str | None, *, strict: bool) -> None:
    """Apply, after a remark on each step that was not rehearsed as it is."""
    done = {entry.name for entry in runner.known().done}
    wanted = runner.plan.steps[: runner.plan.upto(to)]
    left = [step for step in wanted if step.operations and step.name not in done]
    release = history.release_of(runner.session.output("uname -r"))
    for line in history.remarks(left, release, strict=strict):
        runner.listener.note(line)
    runner.apply(to)


def offline(made: Plan, step: str | None, to: str | None) -> list[Ahead]:
    """The steps as compiled without a server."""
    last = made.upto(step or to)
    return [
        (bundle.compile_step(n + 1, each, None), each.gate, ())
        for n, each in enumerate(made.steps[:last])
        if step in (None, each.name)
    ]


def ahead(runner: Runner, step: str | None, to: str | None) -> list[Ahead]:
    """The steps that are left on the server, compiled for it as it is now."""
    made = runner.plan
    known = runner.known()
    last = made.upto(step or to)
    runner.must_pass_preflight(known, last)
    done = {entry.directory for entry in known.done}
    if step and made.directory(last - 1) in done:
        raise Refused(
            f"{step} is confirmed already: nothing of it is left to do",
            todo="status shows the state of each step; runbook has its commands",
        )
    left = [n for n in range(last) if made.directory(n) not in done]
    return [
        (each, runner.gate(each.step), runner.found(each.step))
        for each in runner.compiled_at_once(left[-1:] if step else left)
    ]


def ssh(site: Site) -> Ssh:
    """The way to the host that the site file says."""
    host = site.host
    return Ssh(host.address, host.user, host.port, host.key, host.known_hosts, host.become)
