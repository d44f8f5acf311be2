"""Shared by the tests of operations."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Not in /dev/shm, as elsewhere (tests/conftest.py): a path below /dev is no file of a site."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
