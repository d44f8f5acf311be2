"""Watches services from outside while something runs: the prober, once it reaches all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rollout.errors import Refused
from rollout.probe import outage
from rollout.probe.outage import Timeline
from rollout.probe.prober import Prober
from rollout.probe.watch import Watch

_ANSWER_WITHIN = 15.0  # seconds


@contextmanager
def watching(
    watches: Sequence[Watch], socket_owner: Sequence[str] | None, results: Path
) -> Iterator[None]:
    """Watch the services while the context lasts. Raises Refused if one never answers at first."""
    if not watches:
        yield
        return
    with Prober(watches, socket_owner, results):
        deadline = time.monotonic() + _ANSWER_WITHIN
        silent = list(watches)
        while silent and time.monotonic() < deadline:
            time.sleep(0.2)
            timelines = outage.read(results)
            silent = [watch for watch in watches if not _ever_answered(timelines, watch.name)]
        if silent:
            raise Refused(
                "ports of the site do not answer, so their outage cannot be measured",
                evidence="\n".join(
                    f"{watch.name}: {watch.address}:{watch.port} ({watch.kind})" for watch in silent
                ),
                todo="make sure that they run and that this machine can reach them; "
                "a port that is only for the host and its jails needs public = false in the site "
                "file",
            )
        yield


def _ever_answered(timelines: Mapping[str, Timeline], service: str) -> bool:
    timeline = timelines.get(service)
    return timeline is not None and any(probe.ok for probe in timeline.probes)
