"""What people have in MySQL counts for their disk quota."""

from __future__ import annotations

from typing import Any

from operations.quota import once


def test_databases_belong_to_their_accounts(host: Any, script: str) -> None:
    """What was made since cron's last round is given first: only what cannot be given is left."""
    given = host.run(f"{once(script)} give")
    assert given.rc == 0, f"{script} give: {(given.stderr or given.stdout).strip()}"
    wrong = host.check_output("sh %s wrong", script).splitlines()
    assert not wrong, f"{len(wrong)} files of databases are MySQL's own, the first: {wrong[0]}"
