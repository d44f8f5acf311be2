"""The way to the live server, and to its survey."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from threading import Timer

import click

from rollout.engine.gates import Answer, nobody
from rollout.engine.listener import Listener
from rollout.engine.runner import ManualEntry, Runner
from rollout.host import survey
from rollout.host.replay import Replay
from rollout.host.session import CONNECT_WITHIN, Ssh
from rollout.plan import Plan
from rollout.probe.outside import FromOutside
from rollout.probe.recorded import OfSurvey
from rollout.probe.watches import translated, watches
from rollout.site import Site

_PATIENCE = 1.0  # seconds: a connection that takes longer is announced


@contextmanager
def connected(
    made: Plan,
    listener: Listener | None = None,
    answer: Answer | None = None,
    manual: ManualEntry | None = None,
    *,
    silent: bool = False,
) -> Iterator[Runner]:
    """A runner for the live host. Raises Unreachable if the host does not answer.

    A connection that takes a while is said, unless `silent`.
    """
    target = ssh(made.site)
    with (
        closing(FromOutside(target, translated(made.site))) as outside,
        Runner(
            made, target, outside, listener or Listener(), answer or nobody, manual=manual
        ) as runner,
    ):
        with nullcontext() if silent else announced(target.name):
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


def ssh(site: Site) -> Ssh:
    """The way to the host that the site file says."""
    host = site.host
    return Ssh(host.address, host.user, host.port, host.key, host.known_hosts, host.become)
