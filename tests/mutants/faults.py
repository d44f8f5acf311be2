"""The faults: an undo that does nothing, an fsync that is left out, a check that always passes, and
a plan without one of the carriers of a service's needs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.carriers import removable
from tests.rehearsal.sites import ordered

PROJECT = Path(__file__).parents[2]
OPERATIONS = "tests/unit/operations"
FSYNC = "tests/unit/rollout/host/test_fsync.py"
ACCOUNTS = "tests/rehearsal/test_accounts.py"
SYNCING = {
    "rollout/host/host.sh": [FSYNC],
    "rollout/host/journal.py": [FSYNC],
    "rollout/host/bundle.py": [FSYNC],
    "rollout/engine/drift.py": [FSYNC],
    "operations/audit.sh": [f"{ACCOUNTS}::test_modes_are_mended_and_put_back"],
    "steps/templates/jail/follow.j2": ["tests/unit/steps/test_follow_script.py"],
    "steps/templates/mysql/quota.j2": [
        f"{ACCOUNTS}::test_databases_belong_to_the_accounts_that_they_are_named_after"
    ],
}
UNIT = "tests/unit/rollout"
HOSTS_OWN = {
    ("rollout/host/host.sh", "facts_hold"): f"{UNIT}/engine/test_runner.py",
    ("rollout/host/host.sh", "room"): f"{UNIT}/host/test_full_disk.py",
    ("rollout/host/host.sh", "run_lives"): f"{UNIT}/host/test_dead_man.py",
    ("rollout/host/looking.sh", "owner_lives"): f"{UNIT}/engine/test_connection.py",
    ("rollout/host/looking.sh", "as_before"): f"{UNIT}/host/test_undo.py",
}
"""Checks in host.sh, and the tests that should notice when one always passes."""


@dataclass(frozen=True)
class Fault:
    """`text` is the whole file with the fault in it; `tests` are those that should notice it."""

    kind: str
    file: str
    line: int
    what: str
    text: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.file}:{self.line} {self.what}"


def all_faults() -> Iterator[Fault]:
    operations = sorted((PROJECT / "operations").glob("*.py"))
    for path in operations:
        yield from _undos(path)
    yield _new_files_undo()
    syncing = [PROJECT / name for name in SYNCING]
    for path in (*(each for each in operations if each.name != "command.py"), *syncing):
        yield from _fsyncs(path)
    for path in sorted((PROJECT / "tests" / "checks").glob("test_*.py")):
        yield from _checks(path)
    for (file, function), tests in HOSTS_OWN.items():
        yield _says_yes(PROJECT / file, function, tests)
    yield _service_runs()
    for subject in ("bind", "mysql", "web", "mail"):
        yield from _carriers(subject)


def _tests_of(path: Path) -> tuple[str, ...]:
    """The test files of a module of operations: by its name, or one file for several modules."""
    together = {"packages": "packages_and_data", "data": "packages_and_data", "queues": "mail"}
    name = together.get(path.stem, path.stem)
    return (f"{OPERATIONS}/test_{name}_operations.py",)


def _file(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _undos(path: Path) -> Iterator[Fault]:
    text = path.read_text(encoding="utf-8")
    for function in ast.parse(text).body:
        for call in ast.walk(function):
            if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Reversible"):
                continue
            for keyword in call.keywords:
                value = keyword.value
                if keyword.arg == "undo" and ast.unparse(value) not in ("':'", "None"):
                    name = getattr(function, "name", "?")
                    mutant = _replaced(text, value, '":"')
                    yield Fault("undo", _file(path), value.lineno, name, mutant, _tests_of(path))


def _new_files_undo() -> Fault:
    """The bundle itself writes a file's new content, so its undo is tested there."""
    path = PROJECT / "rollout" / "host" / "bundle.py"
    text = path.read_text(encoding="utf-8")
    before, undo, after = text.partition('f"rm -f {quote(command.staged)}"')
    if not undo:
        raise LookupError(f"{path} has no undo of a NewFile")
    number = before.count("\n") + 1
    tests = ("tests/unit/rollout/host/test_bundle.py",)
    return Fault("undo", _file(path), number, "NewFile", f'{before}":"{after}', tests)


def _says_yes(path: Path, function: str, tests: str) -> Fault:
    text = path.read_text(encoding="utf-8")
    head = re.search(rf"^{function}\(\) {{.*\n", text, re.MULTILINE)
    if head is None:
        raise LookupError(f"{path} has no {function}()")
    mutant = f"{text[: head.end()]}    return 0\n{text[head.end() :]}"
    number = text.count("\n", 0, head.start()) + 1
    return Fault("check", _file(path), number, function, mutant, (tests,))


def _service_runs() -> Fault:
    """A fingerprint says of each service that it runs."""
    path = PROJECT / "rollout" / "host" / "looking.sh"
    text = path.read_text(encoding="utf-8")
    before, asked, after = text.partition("if (/ is running/) print")
    if not asked:
        raise LookupError(f"{path} does not say which service runs")
    number = before.count("\n") + 1
    tests = ("tests/rehearsal/test_host_sh.py::*[fingerprint sees]",)
    return Fault("check", _file(path), number, "service", f"{before}print{after}", tests)


def _carriers(subject: str) -> Iterator[Fault]:
    """The plan is made without one of them; so is what checks read of the plan."""
    path = PROJECT / "rollout" / "plan" / "plan.py"
    text = path.read_text(encoding="utf-8")
    before, made, after = text.partition("    for step in steps:\n")
    if not made:
        raise LookupError(f"{path} has no loop over the steps")
    tests = (f"tests/rehearsal/test_needs_arrive.py::*[{subject}]",)
    for number, each in enumerate(removable(ordered(subject).steps)):
        gone = "    from tests.mutants.carriers import removed\n"
        gone += f"    steps = removed(steps, {number})\n"
        line = before.count("\n") + 1
        yield Fault("carrier", _file(path), line, each.says, before + gone + made + after, tests)


def _replaced(text: str, node: ast.expr, by: str) -> str:
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    data = text.encode()
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
    return (data[:begin] + by.encode() + data[end:]).decode()


def _fsyncs(path: Path) -> Iterator[Fault]:
    text = path.read_text(encoding="utf-8")
    tests = tuple(SYNCING.get(_file(path), _tests_of(path)))
    for found in re.finditer(r"\bfsync\b(?=[ {])", text):
        start = text.rfind("\n", 0, found.start()) + 1
        line = text[start : text.find("\n", found.start())]
        if not re.match(r"\s*(#|\"\"\"|[A-Z])", line) and "`" not in line:
            mutant = text[: found.start()] + "true" + text[found.end() :]
            number = text.count("\n", 0, found.start()) + 1
            yield Fault("fsync", _file(path), number, line.strip()[:50], mutant, tests)


def _checks(path: Path) -> Iterator[Fault]:
    text = path.read_text(encoding="utf-8")
    noun = path.stem.removeprefix("test_")
    for function in ast.parse(text).body:
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_"):
            lines = text.splitlines(keepends=True)
            lines.insert(function.body[0].lineno - 1, "    return\n")
            claim = function.name.removeprefix("test_")
            tests = (f"tests/rehearsal/test_checks_fail.py::*[{noun} {claim}]",)
            yield Fault("check", _file(path), function.lineno, claim, "".join(lines), tests)
