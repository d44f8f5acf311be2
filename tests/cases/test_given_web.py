"""The hosts of trouble reports: the web moves first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.found_cases import found, is_mended


@pytest.mark.whole
@found("web", "given")
def test_what_was_reported_is_mended(file: Path) -> None:
    is_mended(file)
