"""python -m tests.crash [--only STEP[:COMMAND[:KIND]]] [--workers N] [--order ...] [--site FILE]"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from rollout import plan, site
from tests.crash.cases import KINDS, UNDO, Wanted
from tests.crash.workers import Outcome, outcomes

SAMPLE = Path(__file__).parents[2] / "site.example.toml"
ENDS = ("as before", "confirmed", "")
A_CORE = 6
"""Stand-ins per core: a case mostly waits."""


def table(seen: list[Outcome]) -> str:
    tried = Counter((each.case.side, each.case.kind) for each in seen)
    ended = Counter((each.case.side, each.case.kind, each.end) for each in seen)
    rows = [
        (
            ("while undone: " if side == "undo" else "") + says,
            (UNDO if side == "undo" else "") + kind,
            tried[side, kind],
            *(ended[side, kind, end] for end in ENDS),
        )
        for side in ("do", "undo")
        for kind, says in KINDS.items()
        if tried[side, kind]
    ]
    ends = [sum(each.end == end for each in seen) for end in ENDS]
    rows.append(("all", "", len(seen), *ends))
    return tabulate(rows, ("failure", "kind", "tried", "as before", "confirmed", "NEITHER"))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--only", type=Wanted.parse, default=Wanted(), metavar="STEP:COMMAND:KIND")
    parser.add_argument("--workers", type=int, default=A_CORE * (os.cpu_count() or 1))
    parser.add_argument("--order", help="these subjects only, as in the site file")
    parser.add_argument("--site", type=Path, default=SAMPLE, help="default: site.example.toml")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the workers would go on
    sample = site.read(given.site)
    if given.order:
        sample = sample.model_copy(update={"order": tuple(given.order.split(","))})
    began = time.monotonic()
    seen: list[Outcome] = []
    strange: list[str] = []
    try:
        for found in outcomes(plan.make(sample), given.only, given.workers):
            if isinstance(found, list):
                strange += found
                continue
            seen.append(found)
            if not found.end:
                again = (
                    f"make crash {f'ORDER={given.order} ' if given.order else ''}ONLY={found.case}"
                )
                print(f"NEITHER {found.case}\n{found.evidence}\n  -> {again}\n", flush=True)
            elif len(seen) % 100 == 0:
                print(f"{len(seen)} tried, at {found.case}", flush=True)
    except KeyboardInterrupt:
        strange.append("interrupted: these are not all")
    failed = [str(each.case) for each in seen if not each.end]
    print(table(seen))
    minutes = (time.monotonic() - began) / 60
    print(f"{len(seen)} failures tried in {minutes:.1f} min, {_cpu() / 60:.1f} min of CPU")
    for line in strange:
        print(line)
    if failed:
        print(f"{len(failed)} ended neither as before nor confirmed: {' '.join(failed)}")
    if not seen:
        print("no case matches --only")
    return int(bool(failed or strange or not seen))


if __name__ == "__main__":
    sys.exit(main())
