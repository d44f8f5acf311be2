"""The hosts of trouble reports: mail moves first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.found_cases import found, is_mended


@pytest.mark.whole
@found("mail", "given")
def test_what_was_reported_is_mended(file: Path) -> None:
    is_mended(file)
