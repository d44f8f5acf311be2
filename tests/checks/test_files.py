"""What is in place on the host."""

from __future__ import annotations

from typing import Any


def test_is_directory(host: Any, path: str) -> None:
    assert host.file(path).is_directory, f"{path} is no directory"
