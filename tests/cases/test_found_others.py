"""The hosts that were found wrong: BIND or MySQL moves first."""

from __future__ import annotations

from pathlib import Path

from tests.cases.found_cases import found, is_mended


@found("others")
def test_what_was_found_is_mended(file: Path) -> None:
    is_mended(file)
