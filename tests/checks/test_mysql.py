"""MySQL's data: the running server's own, and the same in the jail; who may log in there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

from operations.needs import Open, Running, listeners, opened
from rollout.site import Site

_ITS_FILES = ("ibdata1", "aria_log_control", "mysql.ibd")


def test_server_uses_the_data_of_the_site_file(
    host: Any, running: Running, site: Site, service: str
) -> None:
    """With other data in its jail, the rc script would make a new, empty database there."""
    wanted = site.services[service]
    found = _directory(running.of([listen.port for listen in wanted.ports]))
    if not found and wanted.client:
        found = host.run(f"{wanted.client} -N -e 'SELECT @@datadir'").stdout.strip().rstrip("/")
    told = ", ".join(f'"{each}"' for each in wanted.data)
    assert found, (
        f"services.{service}: procstat -f does not show the data directory of the running server; "
        f"set services.{service}.client to a client that may SELECT @@datadir"
    )
    real = [host.run("realpath %s", each).stdout.strip() for each in wanted.data]
    assert _is_in(found, real), (
        f"services.{service}.data = [{told}]: the running server has its data in {found} (its "
        f"datadir, as procstat -f shows); in the jail it would find a new, empty database; set "
        f'services.{service}.data = ["{found}"]'
    )


def test_jails_server_uses_the_hosts_data(host: Any, site: Site, service: str) -> None:
    """Not by their names: the directory in the jail is the host's if its inode is the same."""
    wanted, jail = site.services[service], site.jail_of(service)
    root = site.root(jail)
    ports = ",".join(str(listen.port) for listen in wanted.ports)
    rows = host.check_output("jexec %s sockstat -46lq -p %s", jail, ports).splitlines()
    said = host.run(f"procstat -f {' '.join(sorted({one.pid for one in listeners(rows)}))}").stdout
    found = _directory(opened(said.splitlines()))
    there = [root + each for each in wanted.data]
    assert _is_in(found, there), (
        f"the server in jail {jail}: expected its data in {' or '.join(there)}; "
        f"procstat -f shows {found or 'no data directory'}"
    )
    here = found.removeprefix(root)
    inodes = host.check_output('stat -f %%i "$(realpath %s)" %s', here, found).split()
    assert len(set(inodes)) == 1, (
        f"{here} in jail {jail} is not the host's: the server there has other data "
        f"(inodes {' and '.join(inodes)})"
    )
    assert host.check_output("ls -A %s", here), f"{here} is empty: the server has no data"


_LOGINS = Path(__file__).with_name("logins.sh")
_SAMPLE = 20  # accounts


def test_programs_log_in(host: Any, site: Site, jail: str) -> None:
    """With what the accounts' files say, by logins.sh beside this file: on the host, and in the
    jail, from whose address their programs come.
    """
    script, mysql = _LOGINS.read_text(encoding="utf-8"), site.services["mysql"]
    lowest, highest = site.jails[jail].uids or (1, 0)
    words = f"sh -s {lowest} {highest} {_SAMPLE} {quote(mysql.socket or '-')}"
    given = f"<<'END-OF-LOGINS'\n{script}END-OF-LOGINS\n"
    said = host.run(f"{words} {given}echo ==\njexec {jail} {words} {given}")
    here, _, there = said.stdout.partition("==\n")
    assert said.rc == 0, f"the logins could not be tried: {said.stderr.strip()[-500:]}"
    could = [login for login, result in _logins(here) if result == "ok"]
    now = dict(_logins(there))
    lost = [
        f"{file}: {user} at {where} ({_refusal(now.get((file, user, where), ''))})"
        for file, user, where in could
        if now.get((file, user, where)) != "ok"
    ]
    more = f"; and {len(lost) - 10} more" * (len(lost) > 10)
    assert not lost, (
        f"these programs can log in to MySQL on the host, and cannot in jail {jail}: "
        f"{'; '.join(lost[:10])}{more}. They come from {site.jails[jail].address} there, unless "
        f"they use the socket, which jails.{jail}.mounts must have: create these users for that "
        "address, too (SHOW GRANTS)"
    )


def _logins(said: str) -> list[tuple[tuple[str, str, str], str]]:
    """File, user and host, and the result. An account may have written other lines."""
    rows = [line.split("\t") for line in said.splitlines()]
    return [((row[0], row[1], row[2]), row[3]) for row in rows if len(row) == 4]


def _refusal(number: str) -> str:
    return f"MySQL's error {number}" if number.isdigit() else "no answer"


def _directory(files: Iterable[Open]) -> str:
    """A MySQL server's working directory is its data directory; else that of its files counts."""
    names = {each.fd: PurePosixPath(each.name) for each in files}
    cwd = names.get("cwd", PurePosixPath("-"))
    if cwd.is_absolute():
        return str(cwd)
    return next((str(each.parent) for each in names.values() if each.name in _ITS_FILES), "")


def _is_in(path: str, directories: list[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(each) for each in directories if each)
