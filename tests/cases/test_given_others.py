"""The hosts of trouble reports: others than web and mail move first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.found_cases import found, is_mended


@pytest.mark.whole
@found("others", "given")
def test_what_was_reported_is_mended(file: Path) -> None:
    is_mended(file)
