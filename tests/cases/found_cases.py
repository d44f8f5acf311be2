"""The hosts that went wrong, and were mended: each has the outcome that its file says.

Those of `given` came from public configurations and trouble reports, those of `found` from our own.

A test file for each part of them, since pytest-xdist plays a file on one processor.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.__main__ import outcome
from tests.cases.case import Case, read

_HERE = Path(__file__).parent
_CASES = {
    file: read(file)
    for folder in ("found", "given")
    for file in sorted((_HERE / folder).glob("*.toml"))
}
PARTS = ("web", "mail")
"""What moves first; all others are a part of their own."""


def part(case: Case) -> str:
    first = next(each for each in case.order if each != "egress")
    return first if first in PARTS else "others"


def found(wanted: str, folder: str = "found") -> pytest.MarkDecorator:
    """Marks a test that is to be run for each file of a part."""
    here = [file for file in _CASES if file.parent.name == folder]
    files = [file for file in here if part(_CASES[file]) == wanted]
    return pytest.mark.parametrize("file", files, ids=[file.stem for file in files])


def is_mended(file: Path) -> None:
    came = outcome(_CASES[file], "standin")
    assert came.kind != "WRONG", came.why
