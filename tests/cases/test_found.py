"""The hosts that were found wrong, and were mended: each has the outcome that its file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.__main__ import outcome
from tests.cases.case import read

FOUND = sorted((Path(__file__).parent / "found").glob("*.toml"))


@pytest.mark.parametrize("file", FOUND, ids=[file.stem for file in FOUND])
def test_what_was_found_is_mended(file: Path) -> None:
    came = outcome(read(file), "standin")
    assert came.kind != "WRONG", came.why
