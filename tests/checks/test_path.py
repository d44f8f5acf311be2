"""Files and directories on the host."""

from __future__ import annotations

from typing import Any


def test_is_a_directory(host: Any, path: str) -> None:
    assert host.file(path).is_directory, f"{path}: expected a directory; found none"


def test_exists(host: Any, path: str) -> None:
    assert host.file(path).exists, f"{path}: expected a file; found nothing"


def test_is_absent(host: Any, path: str) -> None:
    found = host.run("test -e %s || test -L %s", path, path)
    assert found.rc != 0, f"{path}: expected nothing there, but it still exists"
