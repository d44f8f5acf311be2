"""An installed copy has what modules read beside themselves: templates, scripts, the overlay."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SETUP = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
ROOTS = sorted({name.partition(".")[0] for name in SETUP["packages"]})


@pytest.mark.parametrize("package", ROOTS)
def test_what_is_no_python_is_packed_too(package: str) -> None:
    there = {
        file
        for file in (PROJECT / package).rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    patterns = SETUP["package-data"].get(package, [])
    packed = {file for pattern in patterns for file in (PROJECT / package).glob(pattern)}
    assert there <= packed, sorted(there - packed)


def test_every_folder_of_modules_is_packed() -> None:
    folders = {file.parent for root in ROOTS for file in (PROJECT / root).rglob("*.py")}
    names = {".".join(folder.relative_to(PROJECT).parts) for folder in folders}
    assert names == set(SETUP["packages"])
