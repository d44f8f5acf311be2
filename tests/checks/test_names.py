"""Names: who resolves them, and that they are there."""

from __future__ import annotations

from typing import Any


def test_host_resolves(host: Any, name: str) -> None:
    answer = host.run("host -t SOA %s", name)
    assert answer.rc == 0, f"the host does not resolve {name}: {answer.stdout.strip()}"
