"""What is in place on the host."""

from __future__ import annotations

from typing import Any


def test_is_directory(host: Any, path: str) -> None:
    assert host.file(path).is_directory, f"{path} is no directory"


def test_is_enabled_script(host: Any, script: str) -> None:
    answer = host.run("service %s enabled", script)
    assert answer.rc == 0, (
        f"rc script {script} is not there, or not enabled: {answer.stdout.strip()}"
    )


def test_is_there(host: Any, path: str) -> None:
    assert host.file(path).exists, f"{path} is not there"


def test_is_absent(host: Any, path: str) -> None:
    found = host.run("test -e %s || test -L %s", path, path)
    assert found.rc != 0, f"{path} is still there"
