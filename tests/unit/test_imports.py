"""Imports go one way, from higher floors to lower ones; no circle; no overfull folder."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
OURS = {"box", "deploy", "operations", "rollout", "standin", "steps", "survey", "tests"}
MAY = {
    "box": ("box", "rollout"),
    "operations": ("operations",),
    "standin": ("standin",),
    "rollout": ("operations", "rollout", "standin"),
    "steps": ("operations", "rollout.errors", "rollout.site", "rollout.plan.step", "steps"),
    "survey": ("operations", "rollout", "standin", "steps", "survey", "tests.checks"),
    "tests/checks": (
        *("operations", "rollout.engine.checks", "rollout.site", "rollout.plan", "steps.carriers"),
        "tests.checks",
    ),
}
FLOORS = {
    "rollout": (
        ("errors",),
        ("site",),
        ("plan",),
        ("host",),
        ("probe", "audit", "usage"),
        ("engine",),
        ("report", "runbook"),
        ("rehearsal", "monitoring"),
        ("terminal",),
    ),
    "standin": (
        ("linux",),
        ("etc",),
        ("model",),
        ("daemons",),
        ("rc",),
        ("samples", "commands"),
        ("machine", "standin"),
    ),
    "survey": (
        ("facts", "draft", "secrets", "assessment", "reference"),
        ("host", "text"),
        ("daemons", "network"),
        ("services",),
        ("drafting",),
        ("fitting", "findings", "standin"),
        ("survey",),
        ("page",),
        ("summary",),
    ),
    "box": (
        ("clients", "requirements", "remote"),
        ("leftovers", "base_host", "run_clients"),
        ("deploy", "traffic"),
        ("provision",),
        ("qemu", "vagrant"),
        ("kinds",),
    ),
}
"""The wings of a package, the lowest floor first. docs/architecture.md opens with them."""
MOST = 15
PACKAGES = ["box", "operations", "rollout", "standin", "steps", "survey"]
ONE_KIND = {"operations", "steps", "standin/commands"}
"""Folders of which each module is one more of a kind; they may hold more than MOST."""


@cache
def files(folder: str) -> tuple[Path, ...]:
    return tuple(sorted((PROJECT / folder).rglob("*.py")))


@cache
def imported(file: Path) -> set[str]:
    """The modules of ours that a file imports, `from a import b` as a.b; for types alone, too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in OURS}


def module(name: str) -> Path | None:
    """The file behind an imported name: the module, or that in which a name of it lives."""
    for parts in (name.split("."), name.split(".")[:-1]):
        place = PROJECT.joinpath(*parts)
        if place.with_suffix(".py").is_file():
            return place.with_suffix(".py")
        if (place / "__init__.py").is_file():
            return place / "__init__.py"
    return None


@cache
def arrows(file: Path) -> frozenset[Path]:
    """The files of ours that a file imports. A package runs its __init__.py before a module."""
    found = {there for name in imported(file) if (there := module(name))}
    return frozenset(found - {file})


@pytest.mark.parametrize("folder", MAY)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    for file in files(folder):
        foreign = [
            name
            for name in imported(file)
            if not f"{name}.".startswith(tuple(f"{m}." for m in MAY[folder]))
        ]
        assert not foreign, f"{file.relative_to(PROJECT)} imports {foreign}"


def wing(file: Path, package: str) -> str:
    return file.relative_to(PROJECT / package).parts[0].removesuffix(".py")


@pytest.mark.parametrize("package", FLOORS)
def test_a_wing_imports_from_its_own_and_lower_floors_alone(package: str) -> None:
    floor = {name: n for n, names in enumerate(FLOORS[package]) for name in names}
    for file in files(package):
        ours = wing(file, package)
        if ours == "__init__":
            continue
        for there in arrows(file):
            theirs = wing(there, package) if there.is_relative_to(PROJECT / package) else ours
            allowed = theirs in (ours, "__init__") or floor[theirs] < floor[ours]
            assert allowed, f"{file.relative_to(PROJECT)} imports {there.relative_to(PROJECT)}"


@pytest.mark.parametrize("package", FLOORS)
def test_every_wing_has_its_floor(package: str) -> None:
    there = {wing(file, package) for file in files(package)} - {"__init__"}
    assert there == {name for names in FLOORS[package] for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    done: set[Path] = set()

    def walk(file: Path, way: tuple[Path, ...]) -> None:
        circle = (
            [str(each.relative_to(PROJECT)) for each in way[way.index(file) :]]
            if (file in way)
            else []
        )
        assert not circle, f"a circle: {' -> '.join(circle)}"
        if file not in done:
            for there in arrows(file):
                walk(there, (*way, file))
            done.add(file)

    for file in files(package):
        walk(file, ())


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_is_a_pile(package: str) -> None:
    for folder in {file.parent for file in files(package)}:
        name = str(folder.relative_to(PROJECT))
        modules = [each.name for each in folder.glob("*.py") if each.name != "__init__.py"]
        assert len(modules) <= MOST or name in ONE_KIND, f"{name}: {len(modules)} modules"


def test_the_engine_knows_no_service_by_name() -> None:
    """Subjects reach it through the site file's order alone."""
    for file in files("rollout"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in {"web", "bind", "mail", "apache24", "named", "steps.mysql"}


def test_nobody_imports_the_command_line() -> None:
    for file in (each for folder in OURS - {"deploy", "tests"} for each in files(folder)):
        assert not [name for name in imported(file) if name.split(".")[0] == "deploy"], file


def test_what_imports_are_looked_at_is_what_there_is() -> None:
    """A folder without Python files would pass everything above."""
    for folder in MAY:
        assert any(files(folder)), folder
