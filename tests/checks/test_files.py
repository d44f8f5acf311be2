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
