"""What a daemon's data needs around a move: pages flushed before, sockets found after."""

from __future__ import annotations

from pyinfra.api import operation

from operations.command import Commands, Reversible


@operation()
def flushed(client: str) -> Commands:
    """Let a running MySQL write its dirty pages out now, so that its stop has little left to do.

    `client` is the command line of a mysql client that may SET GLOBAL. The setting goes with the
    daemon; the undo sets the server's default back for one that was not stopped.
    """
    yield Reversible(
        f"{client} -e 'SET GLOBAL innodb_max_dirty_pages_pct = 0'",
        undo=f"{client} -e 'SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT' || true",
        live=True,
        says="flush MySQL's dirty pages",
    )
