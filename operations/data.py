"""A daemon's data around a move: dirty pages are flushed, and the server has what it had before."""

from __future__ import annotations

from pyinfra.api import operation

from operations import daemon
from operations.command import Commands, Reversible, quote

# A schema without tables is left out; so are the server's own, which a new, empty one has, too.
_ASKED = (
    "SHOW GLOBAL VARIABLES LIKE 'server_uuid'; "
    "SELECT CONCAT('= ', table_schema), COUNT(*) FROM information_schema.tables WHERE table_schema "
    "NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') GROUP BY table_schema"
)
"""MariaDB has no server_uuid. Counting opens no table (Skip_open_table in its EXPLAIN)."""
_TOLD = 10  # databases


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


def same_databases(client: str, jail: str) -> daemon.Twin:
    """A hand-over's comparison: the jail's MySQL must have all databases that the host's had.

    `client` is typed on the host, and so reaches whichever server runs. Asked are the server's uuid
    and the number of tables of each database. More tables are no difference: clients may have
    created some until the stop. The undo does the same the other way round, except for the uuid.
    """
    asked = f"{client} -N -B -e {quote(_ASKED)}"
    here, there = "on the host", f"in jail {jail}"
    return daemon.Twin(
        "the databases",
        noted=f'{asked} > "$KEEP/data"',
        same=_has_the_same(asked, "data", here, there, uuid=True),
        back=f'{asked} > "$KEEP/back" 2>/dev/null || : > "$KEEP/back"',
        again=f'{{ [ ! -s "$KEEP/back" ] || {{ '
        f"{_has_the_same(asked, 'back', there, here, uuid=False)}; }}; }}",
        limit=60,
    )


def _has_the_same(asked: str, noted: str, before: str, now: str, *, uuid: bool) -> str:
    """sh that fails, and prints what is missing, unless the server has all that was `noted`."""
    lost = (
        f'BEGIN {{FS = "\\t"; s = 0}} $0 == "--" {{s = 1; next}} '
        f'$1 == "server_uuid" {{{"uuid[s] = $2" if uuid else ""}; next}} '
        'index($1, "= ") == 1 {name = substr($1, 3); all[name]; tables[s, name] = $2} '
        f'END {{if (uuid[0] != uuid[1]) print "server uuid: " (uuid[0] == "" ? "none" : uuid[0]) '
        f'" {before}, " (uuid[1] == "" ? "none" : uuid[1]) " {now}"; for (name in all) '
        "if ((tables[0, name] + 0) > (tables[1, name] + 0)) "
        f'{{if (++n <= {_TOLD}) print "database " name ": " tables[0, name] " tables {before}, " '
        f'(tables[1, name] + 0) " {now}"}} '
        f'if (n > {_TOLD}) print "and " (n - {_TOLD}) " more databases"}}'
    )
    heard = (
        f'(n=0; until {asked} > "$KEEP/now" 2> "$KEEP/error"; do n=$((n + 1)); '
        f'[ $n -lt 50 ] || {{ echo "the server {now} gives no answer to services.mysql.client:"; '
        'cat "$KEEP/error"; exit 1; }; sleep 0.2; done)'
    )
    return (
        f'{heard} && lost=$({{ cat "$KEEP/{noted}"; echo --; cat "$KEEP/now"; }} '
        f'| awk {quote(lost)}) && if [ -n "$lost" ]; then printf \'%s\\n\' "$lost"; false; fi'
    )
