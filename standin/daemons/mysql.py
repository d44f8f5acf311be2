"""The rows of the stand-in's MySQL: a file in its data directory, synced before the reply."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from standin.model.daemon import Daemon

ROWS = "rows.ibd"
USERS = "users"
"""A file of ours in the data directory: user, host, password and databases of each account."""
FILES = "with_files"
"""In the place of the password of an account that has the right FILE."""
SOCKET = "unix_socket"
"""In the place of the password of an account that MariaDB knows by the socket."""
DEFAULTS = {
    "innodb_fast_shutdown": "1",
    "innodb_max_dirty_pages_pct": "90",
    "innodb_buffer_pool_dump_at_shutdown": "1",
    "innodb_buffer_pool_load_at_startup": "1",
    "read_only": "0",
    "skip_name_resolve": "OFF",
    "secure_file_priv": "",
}
STATUS = {"Innodb_buffer_pool_pages_dirty": "0", "Threads_connected": "1", "Uptime": "42"}


class StatementError(Exception):
    """The error as mysql(1) prints it."""


def query(daemon: Daemon, statement: str) -> list[str]:
    """The lines of all results, columns separated by tabs."""
    asked = filter(None, (part.strip() for part in statement.split(";")))
    return [line for one in asked for line in _query(daemon, one)]


def _query(daemon: Daemon, statement: str) -> list[str]:
    for pattern, run in STATEMENTS.items():
        if match := re.fullmatch(pattern, statement, re.IGNORECASE):
            return run(daemon, match)
    raise StatementError(
        "ERROR 1064 (42000) at line 1: You have an error in your SQL syntax near "
        f"'{statement[:40]}' at line 1"
    )


def _rows(daemon: Daemon) -> Path:
    return daemon.rootdir.path(daemon.folder) / ROWS


def _insert(daemon: Daemon, match: re.Match[str]) -> list[str]:
    with _rows(daemon).open("a") as file:
        file.write(match[1] + "\n")
        file.flush()
        os.fsync(file.fileno())
    return []


def _select(daemon: Daemon, match: re.Match[str]) -> list[str]:
    lines = _rows(daemon).read_text().splitlines()
    return [str(len(lines))] if match[1] else lines


def _set(daemon: Daemon, match: re.Match[str]) -> list[str]:
    daemon.variables[match[1].lower()] = match[2]
    return []


def _show(daemon: Daemon, match: re.Match[str]) -> list[str]:
    known = STATUS if match[1].upper() == "STATUS" else _variables(daemon)
    like = re.compile(match[2].replace("%", ".*"), re.IGNORECASE)
    return [f"{name}\t{value}" for name, value in sorted(known.items()) if like.fullmatch(name)]


def _variables(daemon: Daemon) -> dict[str, str]:
    own = {"datadir": daemon.folder + "/"}
    # MySQL keeps its uuid in this file; MariaDB has neither.
    auto = daemon.rootdir.read(f"{daemon.folder}/auto.cnf") or ""
    if told := re.search(r"(?m)^server-uuid=(\S+)$", auto):
        own["server_uuid"] = told[1]
    return DEFAULTS | own | daemon.variables


def _variable(daemon: Daemon, match: re.Match[str]) -> list[str]:
    name = match[1].lower()
    if name not in _variables(daemon):
        raise StatementError(f"ERROR 1193 (HY000): Unknown system variable '{name}'")
    return [_variables(daemon)[name]]


def _tables(daemon: Daemon, match: re.Match[str]) -> list[str]:
    """As MariaDB 10.11 does: a database is a directory, a table or view a .frm file in it."""
    left_out = re.findall(r"'(\w+)'", match[1])
    found = {}
    for place in sorted(daemon.rootdir.path(daemon.folder).iterdir()):
        if place.is_dir() and place.name not in left_out:
            found[place.name] = len(list(place.glob("*.frm")))
    return [f"= {name}\t{count}" for name, count in found.items() if count]


def _accounts(daemon: Daemon, match: re.Match[str]) -> list[str]:
    """A row for each account, or for each of its databases. Without our file nobody is limited."""
    told = daemon.rootdir.read(f"{daemon.folder}/{USERS}") or ""
    users = [line.split() for line in told.splitlines()]
    if match[1] == "file":
        return [f"file\t{one[0]}\t{one[1]}\tY" for one in users if one[2] == FILES]
    if match[1] == "plugin":
        return [f"plugin\t{one[0]}\t{one[1]}\t" for one in users if one[2] == SOCKET]
    if match[1] == "user":
        return [f"user\t{one[0]}\t{one[1]}\tN" for one in users]
    return [f"database\t{one[0]}\t{one[1]}\t{name}" for one in users for name in one[3:]]


STATEMENTS: dict[str, Callable[[Daemon, re.Match[str]], list[str]]] = {
    r"INSERT INTO rows VALUES \('([^'\n]*)'\)": _insert,
    r"SELECT (COUNT\()?\*\)? FROM rows": _select,
    r"SELECT CONCAT\('= ', table_schema\), COUNT\(\*\) FROM information_schema.tables "
    r"WHERE table_schema NOT IN \(([^)]*)\) GROUP BY table_schema": _tables,
    r"SELECT '(?:user|database)', user, host, (?:Select_priv|db) FROM mysql\.(user|db)": _accounts,
    r"SELECT '(file)', user, host, File_priv FROM mysql.user "
    r"WHERE File_priv = 'Y' AND Super_priv = 'N'": _accounts,
    r"SELECT '(plugin)', user, host, IF\(plugin LIKE '%_socket', authentication_string, ''\) "
    r"FROM mysql.user WHERE plugin IN \('unix_socket', 'auth_socket'\) "
    r"/\*M!100401 OR \(user, host\) IN \(SELECT user, host FROM mysql.global_priv "
    r"WHERE Priv LIKE '%\"unix_socket\"%'\) \*/": _accounts,
    r"SELECT '(\S+@\S+)'": lambda daemon, match: [match[1]],
    r"SELECT 1": lambda daemon, match: ["1"],
    r"SELECT @@(?:GLOBAL\.)?(\w+)": _variable,
    r"SET GLOBAL (\w+) ?= ?(\w+)": _set,
    r"FLUSH (?:TABLES|LOGS)": lambda daemon, match: [],
    r"SHOW (?:GLOBAL )?(STATUS|VARIABLES) LIKE '([^']*)'": _show,
}
