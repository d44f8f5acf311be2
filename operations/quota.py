"""Databases of accounts: their files belong to the account, so that its disk quota counts them."""

from __future__ import annotations

from pyinfra.api import operation

from operations.command import ANY, Commands, Reversible, quote


def once(script: str) -> str:
    """sh that runs the script, never at the same time as cron."""
    return f"lockf -k -s -t 600 /var/run/mysql.quota.lock sh {quote(script)}"


@operation()
def given(script: str) -> Commands:
    """Run `script`: each account gets the files of its databases; the undo gives them back."""
    yield Reversible(
        f"{once(script)} give",
        undo=f"if [ -e {quote(script)} ]; then {once(script)} back; fi",
        says="chown the files of each account's databases to the account",
        sees=ANY,
        limit=600,
    )
