"""mysql(1) and mysqladmin(1): they send statements to the mysqld that answers."""

from __future__ import annotations

from standin.commands import command
from standin.commands.net import reach
from standin.daemons.configs import mysql_socket
from standin.daemons.mysql import USERS, StatementError, query
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.answers import SocketAt, who_answers
from standin.model.host import Host

VALUED = {"-h": "host", "--host": "host", "-P": "port", "--port": "port", "-S": "socket"}
VALUED |= {"--socket": "socket", "-e": "execute", "--execute": "execute", "-u": "user"}
VALUED |= {"--user": "user", "--connect-timeout": "wait", "--protocol": "protocol"}
SWITCHES: tuple[str, ...] = (
    "-N",
    "-B",
    "-s",
    "-BN",
    "-NB",
    "-Ns",
    "-sN",
    "--batch",
    "--skip-column-names",
)
SWITCHES += ("--silent", "-ss", "--no-defaults", "--wait")


def _options(call: Call) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    rest, words = [], list(call.args)
    while words:
        word = words.pop(0)
        name, mark, value = word.partition("=")
        if name == "--defaults-file":
            found |= _option_file(call, value)
        elif name in VALUED:
            found[VALUED[name]] = value if mark else words.pop(0)
        elif word[:2] in VALUED and not word.startswith("--"):
            found[VALUED[word[:2]]] = word[2:]
        elif word.startswith("-") and word not in SWITCHES and not word.startswith("--defaults"):
            raise Unknown(f"{call.name}: unknown option '{word}'\n", 7)
        elif not word.startswith("-"):
            rest.append(word)
    return found, rest


def _server(host: Host, call: Call, found: dict[str, str]) -> SocketAt:
    where = found.get("host", "localhost")
    if where == "localhost":
        path = found.get("socket", mysql_socket(call.rootdir))
        answering = who_answers(host, path, 0, "tcp", call.rootdir.name or "host")
        words = f"local server through socket '{path}' (2)"
        number = 2002
    else:
        answering = reach(host, call, where, int(found.get("port", "3306")))
        words, number = f"server on '{where}' (61)", 2003
    if answering is None or answering.daemon.kind.rc != "mysql":
        raise Failed(f"ERROR {number} (HY000): Can't connect to {words}\n")
    return answering


@command("/usr/local/bin/mysql", "/usr/local/bin/mariadb")
async def mysql(host: Host, call: Call) -> Reply:
    found, _ = _options(call)
    statement = found["execute"] if "execute" in found else await call.stdin_text()
    server = _server(host, call, found)
    statement = statement.replace("CURRENT_USER()", f"'{_account(host, call, server, found)}'")
    try:
        return Reply("".join(f"{line}\n" for line in query(server.daemon, statement)))
    except StatementError as error:
        raise Failed(f"{error}\n") from None


def _account(host: Host, call: Call, server: SocketAt, found: dict[str, str]) -> str:
    """Which account fits, as USER@HOST. Root may from localhost; without our file of users,
    anybody from anywhere. The messages are those of MariaDB 10.11.
    """
    told = server.daemon.rootdir.read(f"{server.daemon.folder}/{USERS}")
    name, word = found.get("user", "root"), found.get("password", "")
    if told is None:
        return f"{name}@%"
    local = found.get("host", "localhost") == "localhost" or not call.rootdir.name
    where = "localhost" if local else host.addresses_of(call.rootdir)[0]
    users = [line.split() for line in told.splitlines()]
    if (name, where, word) == ("root", "localhost", ""):
        return "root@localhost"
    if not any(one[1] in (where, "%") for one in users):
        raise Failed(
            f"ERROR 1130 (HY000): Host '{where}' is not allowed to connect to this MariaDB server\n"
        )
    for one in users:
        if one[0] == name and one[1] in (where, "%") and one[2] == word:
            return f"{name}@{one[1]}"
    using = "YES" if word else "NO"
    raise Failed(
        f"ERROR 1045 (28000): Access denied for user '{name}'@'{where}' (using password: {using})\n"
    )


def _option_file(call: Call, path: str) -> dict[str, str]:
    lines = (call.rootdir.read(path) or "").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    known = ("user", "password", "host", "port", "socket")
    return {name: value.strip('"') for name, _, value in pairs if name in known}


@command("/usr/local/bin/mysqladmin", "/usr/local/bin/mariadb-admin")
def mysqladmin(host: Host, call: Call) -> Reply:
    found, rest = _options(call)
    try:
        server = _server(host, call, found)
    except Failed as error:
        raise Failed(f"mysqladmin: connect to server failed\nerror: '{error}'\n") from None
    match rest:
        case ["ping"]:
            return Reply("mysqld is alive\n")
        case ["status"]:
            return Reply("Uptime: 42  Threads: 1  Questions: 1\n")
        case ["refresh" | "flush-tables" | "flush-logs"]:
            return Reply()
        case _:
            del server
            raise Unknown(f"mysqladmin: Unknown command: '{' '.join(rest)}'\n", 1)
