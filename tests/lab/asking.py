"""How long services take to answer a new client: python -m tests.lab.asking TIMES < WATCHES

The watches are JSON. Prints a line for each: its name, the median and the longest of so many
answers in seconds, and how many there were.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from pydantic import TypeAdapter

from box.qemu.guest import Guest
from rollout.probe.protocols import KINDS
from rollout.probe.watch import Watch
from rollout.probe.watches import watched
from rollout.site import Site

PROJECT = Path(__file__).parents[2]
_WATCHES = TypeAdapter(list[Watch])
_PAUSE = 0.5  # seconds from one question to the next


class Took(NamedTuple):
    """Seconds, and how many of the questions were answered."""

    median: float
    longest: float
    answered: int


def took(guest: Guest, site: Site, times: int = 20) -> dict[str, Took]:
    """Ask the first port of each service so often, in turn."""
    watches = [
        watched(site, name, listen, *guest.door(listen.port, listen.proto))
        for name, service in site.services.items()
        for listen in service.ports[:1]
    ]
    done = subprocess.run(
        guest.argv(sys.executable, "-m", "tests.lab.asking", str(times)),
        input=_WATCHES.dump_json(watches),
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    return {name: Took(*numbers) for name, *numbers in map(json.loads, done.stdout.splitlines())}


def main(times: int) -> None:
    watches = _WATCHES.validate_json(sys.stdin.read())
    found: dict[str, list[float]] = {each.name: [] for each in watches}
    for _ in range(times):
        for each in watches:
            began = time.monotonic()
            try:
                with KINDS[each.kind](each).answered(began + each.timeout):
                    pass
            except Exception:  # noqa: S112 # any failure means that a client got no answer
                continue
            found[each.name].append(time.monotonic() - began)
        time.sleep(_PAUSE)
    for name, seconds in found.items():
        known = seconds or [0.0]
        row = [name, round(median(known), 3), round(max(known), 3), len(seconds)]
        print(json.dumps(row))


if __name__ == "__main__":
    main(int(sys.argv[1]))
