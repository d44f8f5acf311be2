"""A daemon's data around a move: dirty pages are flushed before the stop."""

from __future__ import annotations

from pyinfra.api import operation

from operations.command import Commands, Reversible


@operation()
def flushed(client: str) -> Commands:
    """Let a running MySQL write its dirty pages to disk now, so that its stop is short.

    `client` is the command line of a mysql client that may SET GLOBAL. The setting ends with the
    daemon; for one that was not stopped, the undo restores the server's default.
    """
    yield Reversible(
        f"{client} -e 'SET GLOBAL innodb_max_dirty_pages_pct = 0'",
        undo=f"{client} -e 'SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT' || true",
        live=True,
        says="flush MySQL's dirty pages",
    )
