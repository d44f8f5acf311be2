"""Whom MySQL's grants let in from an address, and to which databases."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network

BY_SOCKET = (
    "plugin IN ('unix_socket', 'auth_socket') "
    # MySQL takes it for a comment. An account of MariaDB may have several plugins (auth_or).
    "/*M!100401 OR (user, host) IN (SELECT user, host FROM mysql.global_priv "
    "WHERE Priv LIKE '%\"unix_socket\"%') */"
)
"""Which accounts of mysql.user are known by the socket, in SQL."""

# Two statements: in a UNION the columns of these tables have different collations (error 1271).
ASKED = (
    "SELECT 'user', user, host, Select_priv FROM mysql.user; "  # noqa: S608 # of constants
    "SELECT 'database', user, host, db FROM mysql.db; "
    "SELECT 'plugin', user, host, IF(plugin LIKE '%_socket', authentication_string, '') "
    f"FROM mysql.user WHERE {BY_SOCKET}; "
    "SELECT 'file', user, host, File_priv FROM mysql.user "
    "WHERE File_priv = 'Y' AND Super_priv = 'N'; "
    "SHOW GLOBAL VARIABLES LIKE 'secure_file_priv'; "
    "SHOW GLOBAL VARIABLES LIKE 'skip_name_resolve'"
)
"""No password: these plugins have a name there. MariaDB has a view of the name mysql.user."""

LOCAL = ("127.0.0.1", "localhost")
_EVERYTHING = "*"


@dataclass(frozen=True)
class Client:
    """Where a program comes from: its address, and the names that MySQL finds for it."""

    address: str
    names: tuple[str, ...] = ()

    def fits(self, host: str) -> bool:
        """Whether the host of an account is this client (MySQL's manual, "Specifying Account
        Names"): an address or a name, in which % and _ are wildcards, or a network.
        """
        if "/" in host:
            return _is_in(self.address, host)
        parts = re.split(r"(\\.|%|_)", host or "%")
        known = {"%": ".*", "_": "."}
        pattern = "".join(known.get(part, re.escape(part.removeprefix("\\"))) for part in parts)
        return any(
            re.fullmatch(pattern, each, re.IGNORECASE) for each in (self.address, *self.names)
        )


def _is_in(address: str, network: str) -> bool:
    try:
        return IPv4Address(address) in ip_network(network)
    except ValueError:  # MySQL takes no address for such an account either
        return False


@dataclass(frozen=True)
class Grants:
    """What ASKED prints: accounts, and the databases that are theirs.

    `by_socket` are accounts of the system, known by the socket (unix_socket, MySQL's auth_socket);
    `with_files` those that may read and write files at any path, though they are no administrators.
    """

    users: tuple[tuple[str, str, bool], ...]
    databases: tuple[tuple[str, str, str], ...]
    finds_names: bool
    by_socket: tuple[str, ...] = ()
    with_files: tuple[str, ...] = ()

    @classmethod
    def read(cls, said: str) -> Grants:
        rows = [line.split("\t") for line in said.splitlines()]
        return cls(
            tuple((row[1], row[2], row[3] == "Y") for row in _of(rows, "user", 4)),
            tuple((row[1], row[2], row[3]) for row in _of(rows, "database", 4)),
            ["skip_name_resolve", "ON"] not in rows,
            tuple(name for row in _of(rows, "plugin", 4) for name in (row[1], row[3]) if name),
            tuple(f"{row[1]}@{row[2]}" for row in _of(rows, "file", 4))
            if ["secure_file_priv", ""] in rows
            else (),
        )

    def let_in(self, user: str, client: Client) -> bool:
        return any(name == user and client.fits(host) for name, host, _ in self.users)

    def databases_of(self, user: str, client: Client) -> set[str]:
        """Patterns of their names; * for an account that may read them all."""
        hosts = [host for name, host, all in self.users if name == user and all]
        everything = {_EVERYTHING} if any(map(client.fits, hosts)) else set()
        named = {
            database
            for name, host, database in self.databases
            if name == user and client.fits(host)
        }
        return everything | named

    def lost(self, user: str, before: Client, now: Client) -> list[str]:
        """The databases that a program has at one place, and not at the other."""
        has = self.databases_of(user, now)
        return [] if _EVERYTHING in has else sorted(self.databases_of(user, before) - has)


def _of(rows: Iterable[list[str]], kind: str, columns: int) -> Iterable[list[str]]:
    return (row for row in rows if row[0] == kind and len(row) == columns)
