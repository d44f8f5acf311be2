"""Databases of accounts: their files belong to them, so that the disk quota counts them."""

from __future__ import annotations

from pyinfra.api import operation

from operations.command import ANY, Commands, Reversible, quote


def once(script: str) -> str:
    """sh: run the script, and never while cron does."""
    return f"lockf -k -s -t 600 /var/run/mysql.quota.lock sh {quote(script)}"


@operation()
def given(script: str) -> Commands:
    """Let `script`, on the host, give each account what it has in MySQL; the undo takes it back."""
    yield Reversible(
        f"{once(script)} give",
        undo=f"if [ -e {quote(script)} ]; then {once(script)} back; fi",
        says="give the files of each account's databases to the account",
        sees=ANY,
        limit=600,
    )
