"""python -m tests.mutants [--list] [--workers N] [PATTERN...]: puts faults in, one at a time.

Each fault goes into a worker's own copy of the tree, and the tests that should notice it run there;
the output lists which test failed. Exit code 1 when no test notices a fault. A PATTERN is a part of
a line of --list.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from tests.mutants.faults import PROJECT, Fault, all_faults

LIMIT = 600  # seconds for one fault


def copied(to: Path) -> None:
    """Copy what the tests need of the project, without caches of earlier runs."""
    names = ("deploy.py", "pyproject.toml", "site.example.toml", "README.md")
    for name in names:
        shutil.copy2(PROJECT / name, to / name)
    for name in (
        "box",
        "operations",
        "rollout",
        "standin",
        "steps",
        "survey",
        "tests",
        "docs",
        "runbooks",
    ):
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(PROJECT / name, to / name, symlinks=True, ignore=ignored)


def run(tree: Path, tests: Iterable[str]) -> tuple[int, str]:
    """pytest's exit code and the test that failed first."""
    words = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    for test in tests:
        path, _, chosen = test.partition("::*")
        words += [path, *(["-k", chosen.strip("[]").replace(" ", " and ")] if chosen else [])]
    try:
        done = subprocess.run(
            words, cwd=tree, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, f"nothing within {LIMIT} s"
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return done.returncode, failed[1] if failed else done.stdout[-300:]


def seen(fault: Fault, tree: Path) -> tuple[bool, str]:
    place = tree / fault.file
    before = place.read_text(encoding="utf-8")
    place.write_text(fault.text, encoding="utf-8")
    try:
        code, said = run(tree, fault.tests)
    finally:
        place.write_text(before, encoding="utf-8")
    if code not in (0, 1):  # no test collected, or pytest itself failed
        raise SystemExit(f"{fault}: the tests could not be run: {said}")
    return code == 1, said


@contextmanager
def lent(trees: SimpleQueue[Path]) -> Iterator[Path]:
    tree = trees.get()
    try:
        yield tree
    finally:
        trees.put(tree)


def tried(fault: Fault, trees: SimpleQueue[Path]) -> tuple[Fault, bool]:
    with lent(trees) as tree:
        began = time.monotonic()
        red, said = seen(fault, tree)
    verdict = f"red: {said}" if red else "NOT SEEN"
    print(f"{fault}: {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
    return fault, red


def must_be_green(file: str, trees: SimpleQueue[Path]) -> None:
    with lent(trees) as tree:
        code, said = run(tree, [file])
    if code != 0:
        raise SystemExit(f"{file} fails without any fault: {said}")


def chosen(patterns: list[str]) -> list[Fault]:
    return [
        fault
        for fault in all_faults()
        if not patterns or any(pattern in str(fault) for pattern in patterns)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("pattern", nargs="*")
    given = parser.parse_args()
    faults = chosen(given.pattern)
    if given.list:
        print("\n".join(map(str, faults)))
        return 0
    files = dict.fromkeys(each.partition("::*")[0] for f in faults for each in f.tests)
    with TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(given.workers) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(given.workers):
            (tree := Path(folder) / str(number)).mkdir()
            copied(tree)
            trees.put(tree)
        list(pool.map(lambda file: must_be_green(file, trees), files))
        ends = list(pool.map(lambda fault: tried(fault, trees), faults))
    survived = [fault for fault, red in ends if not red]
    kinds = Counter(fault.kind for fault, _ in ends)
    told = ", ".join(f"{count} {kind}s" for kind, count in kinds.items())
    print(f"{len(ends)} faults ({told}), {len(survived)} not noticed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
