"""MySQL's data: the running server's own, and the same in the jail; who may log in there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

from operations import apache
from operations.carried import Ask, is_in
from operations.facts import FoundNames
from operations.mysql import Settings
from operations.needs import Open, Running, listeners, opened
from rollout.site import HOST, INTERNET, Service, Site, allowing
from tests.checks import outsiders
from tests.checks.asking import acting_as
from tests.checks.granted import ASKED, LOCAL, Client, Grants
from tests.checks.needing import option_files, rc_variables

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


_ANY = ("*", "0.0.0.0", "::", "")  # noqa: S104 # what it says
_LOCAL = ("127.0.0.1", "localhost", "::1")
_ADDRESS = re.compile(r"--(bind|mysqlx-bind|admin)[-_]address[= ](\S+)")


def test_addresses_are_the_jails(
    host: Any, ask: Ask, interfaces: dict[str, str], site: Site, service: str
) -> None:
    """Those at which it is told to listen. One that is not adapted in the jail's copy, or that the
    jail cannot have, would keep the server from starting there.
    """
    there = site.services[service]
    own = re.findall(r"inet (\S+)", "".join(interfaces.values()))
    told = []
    for each in ask(Settings, places=option_files(ask, site, service)):
        file = each.place.rpartition(":")[0]
        adapts = each.option == "bind-address" and is_in(file, there.configuration)
        if each.option.endswith("address"):
            told += [
                (f"{each.place}: {each.option} = {one}", one)
                for one in map(str.strip, each.value.split(","))
                if not (adapts and one in own)
            ]
    for one in rc_variables(ask, site, service):
        told += [
            (f"{one.place}: {one.name}={one.value}", found[2])
            for found in _ADDRESS.finditer(one.value)
        ]
    wrong = [said for said, at in told if at not in (*_ANY, *_LOCAL)]
    address, jail = site.jails[site.jail_of(service)].address, site.jail_of(service)
    assert not wrong, (
        f"services.{service}: {'; '.join(wrong)}: in its jail the server has {address} alone, "
        f"which takes the place of a bind-address in services.{service}.configuration: write it "
        f"there, as bind-address, and nowhere else, or let the server of jail {jail} listen at any"
    )


def test_binary_logs_have_names_of_their_own(host: Any, ask: Ask, site: Site, service: str) -> None:
    """By default they are called after the host: in the jail, which has another name, the server
    would begin new ones, and a replica would not find where it was.
    """
    there, jail = site.services[service], site.jails[site.jail_of(service)]
    names = "$(hostname | cut -d. -f1)"
    asked = f"for each in {' '.join(map(quote, there.data))}; do ls -d $each/{names}*.index; done"
    found = host.run(f"hostname; {asked} 2>/dev/null").stdout.split()
    said = ask(Settings, places=option_files(ask, site, service))
    values = [PurePosixPath(each.value).name for each in said if "log" in each.option]
    # What an option names stays; its value may have an extension, which the server takes off.
    bases = [PurePosixPath(each).name.removesuffix(".index") for each in found[1:]]
    known = {value.partition(".")[0] for value in values if value}
    lost = [f"{each}.index" for each in bases if each.partition(".")[0] not in known]
    is_called_the_same = found[:1] == [jail.hostname]
    assert is_called_the_same or not lost, (
        f"services.{service}: {there.data[0]} has {', '.join(lost)}, called after this host: in "
        f"its jail, {jail.hostname}, the server would begin new logs, and replication would stop: "
        f"write the names as they are to my.cnf (log_bin = {lost[0].removesuffix('.index')}, "
        "relay_log likewise), and restart the server"
    )


def test_is_one_server(ask: Ask, site: Site, service: str) -> None:
    """`service mysql-server stop` would stop all instances, and one would move."""
    said = rc_variables(ask, site, service)
    told = [
        f"{e.place}: {e.name}={e.value}" for e in said if e.name == "mysql_instances" and e.value
    ]
    assert not told, (
        f"services.{service}: {'; '.join(told)}: several servers of one script: Cellblock moves "
        f"one server with its own script: take {service} out of `order`, or leave one instance"
    )


def _grants(host: Any, mysql: Service) -> Grants:
    """Without a client nothing is known of them."""
    asked = f"{mysql.client} -N -B -e {quote(ASKED)}" if mysql.client else ":"
    said = host.run(asked)
    assert said.rc == 0, _cannot_read(mysql, said.stderr)
    return Grants.read(said.stdout)


def _cannot_read(mysql: Service, error: str) -> str:
    return (
        f'services.mysql.client = "{mysql.client}" cannot read whom MySQL lets in '
        f"({error.strip()[-300:]}): give its user SELECT on mysql.user, mysql.db and, of MariaDB, "
        "mysql.global_priv"
    )


def test_names_of_clients_are_found(host: Any, site: Site, service: str) -> None:
    """MySQL looks up the names of clients if an account's host is a name."""
    there, jail = site.services[service], site.jail_of(service)
    grants = _grants(host, there)
    own = {each.hostname for each in site.jails.values()}
    named = [
        f"{user}@{name}"
        for user, name, _ in grants.users
        if grants.finds_names and re.search(r"[A-Za-z]", name) and name not in (*_LOCAL, *own)
    ]
    lacks = _resolvers(site, jail) if "policy" in site.order else []
    assert not (named and lacks), (
        f"services.{service}: {', '.join(named[:5])}: a client's name must be found for such an "
        f"account, and [policy] does not let jail {jail} ask a name server: add {lacks[0]} to "
        "`allow` there, or give these accounts addresses"
    )


def test_accounts_known_by_the_socket_are_in_the_jail(host: Any, site: Site, service: str) -> None:
    """The server looks up the name of who is at the other end of its socket: MariaDB's unix_socket,
    also beside a password, and MySQL's auth_socket.
    """
    there, jail = site.services[service], site.jail_of(service)
    names = _grants(host, there).by_socket
    named = {name: f"mysql.user: {name}, by the socket" for name in names}
    lost = outsiders.lost(host, named, site.jails[jail].uids)
    assert not lost, (
        f"services.{service}: {'; '.join(lost)}: in jail {jail} the server would not know the name "
        f"of that uid, and refuse it: give jails.{jail}.uids a range that has it"
    )


def test_files_by_path_are_in_the_jail(host: Any, site: Site, service: str) -> None:
    """The server itself reads and writes what LOAD DATA INFILE and INTO OUTFILE name."""
    there, jail = site.services[service], site.jail_of(service)
    accounts = _grants(host, there).with_files
    assert not accounts, (
        f"services.{service}: {', '.join(accounts[:5])} may read and write files of the server's "
        f"(FILE), at any path (secure_file_priv is empty), and in jail {jail} other files are "
        f"there: write secure_file_priv = DIRECTORY to my.cnf, and add that to jails.{jail}.mounts "
        "and to those of the jail that uses it, or take the right away: REVOKE FILE ON *.*"
    )


def _resolvers(site: Site, jail: str) -> list[str]:
    """The line that [policy] lacks for its name server, as steps/thin.py writes resolv.conf."""
    elsewhere = site.lan.resolvers and site.host.wan_address not in site.lan.resolvers
    names = [each for each, one in site.services.items() if (53, "udp") in _ports(one)]
    own = [each for each, one in site.jails.items() if set(names) & {*one.services}]
    asks = INTERNET if elsewhere else next(iter(own), HOST)
    if asks == jail or site.policy.lets(jail, asks, 53, "udp"):
        return []
    return [allowing(jail, asks, "53/udp", "53/tcp")]


def _ports(service: Service) -> set[tuple[int, str]]:
    return {(each.port, each.proto) for each in service.ports}


_LOGINS = Path(__file__).with_name("logins.sh")
_SAMPLE = 20  # accounts


def test_programs_may_come_from_the_jail(
    host: Any, ask: Ask, interfaces: dict[str, str], site: Site, jail: str
) -> None:
    """Asked on the host, before anything is touched: the logins by logins.sh beside this file, and
    MySQL's grants. Programs of the jail come from its address, unless they use the socket.
    """
    mysql, address = site.services["mysql"], site.jails[jail].address
    asked = f"{mysql.client} -N -B -e {quote(ASKED)}" if mysql.client else ":"
    said = host.run(f"{_typed(ask, site, jail)}\necho ==\n{asked}")
    here, _, grants = said.stdout.partition("==\n")
    could = [(login, account) for login, result, account in _logins(here) if result == "ok"]
    assert said.rc == 0 or not could, _cannot_read(mysql, said.stderr)
    own = _own(host, interfaces, {where for (_, _, where), _ in could}, site)
    lost = []
    for (file, user, where), account in could:
        if where == _BY_SOCKET:
            if mysql.socket and not is_in(mysql.socket, site.paths(jail)):
                lost.append(f"{file}: {user} uses the socket {mysql.socket}, {_no_socket(jail)}")
        elif where in own and (denied := _denied(site, jail)):
            lost.append(f"{file}: {user} at {where}: {denied}")
        elif where in own:
            client = Client(str(address), _names(site, jail, grants))
            why = _refused(user, account, client, Grants.read(grants) if mysql.client else None)
            lost += [f"{file}: {user} at {where}: {why}"] if why else []
    lost += _of_apache(ask, site, jail, Grants.read(grants) if mysql.client else None)
    more = f"; and {len(lost) - 10} more" * (len(lost) > 10)
    assert not lost, (
        f"these programs log in to MySQL on the host, and would be refused in jail {jail}, whose "
        f"address is {address}: {'; '.join(lost[:10])}{more}"
    )


def _of_apache(ask: Ask, site: Site, jail: str, grants: Grants | None) -> list[str]:
    """Users of Apache's own (DBDParams of mod_authn_dbd), whose password no check types."""
    client, here = Client(str(site.jails[jail].address)), Client(*LOCAL[:1], LOCAL[1:])
    told = []
    for each in _web_servers(site, jail):
        lines = ask(apache.Directives, places=each.configuration).lines
        for user, place in apache.database_users(lines):
            if grants is None or grants.let_in(user, here):
                why = _denied(site, jail) or _refused(user, f"{user}@localhost", client, grants)
                told += [f"{place}: {user}: {why}"] if why else []
    return told


_ADMINS = r"cfg\[.Servers.\]"
_MOST = 5  # accounts that a message names


def test_people_may_log_in_from_the_jail(host: Any, ask: Ask, site: Site, jail: str) -> None:
    """By phpMyAdmin, to which they type names and passwords: no file has these, to try them. It
    uses the socket, unless its configuration names another host than localhost.
    """
    mysql, address = site.services["mysql"], str(site.jails[jail].address)
    lost: list[str] = []
    for file, where in _admins(host, ask, site, jail):
        if where in ("", _BY_SOCKET):
            if mysql.socket and not is_in(mysql.socket, site.paths(jail)):
                lost.append(f"{file} uses the socket {mysql.socket}, {_no_socket(jail)}")
        elif where in (*LOCAL, str(site.host.wan_address)):
            why = _denied(site, jail) or _for_localhost_alone(host, mysql, address)
            lost += [f"{file}: host {where}: {why}"] if why else []
    assert not lost, (
        f"services.mysql: people who log in by phpMyAdmin would be refused in jail {jail}, whose "
        f"address is {address}: {'; '.join(lost)}"
    )


def _admins(host: Any, ask: Ask, site: Site, jail: str) -> list[tuple[str, str]]:
    """Each configuration of phpMyAdmin, and the host that it names, read as Apache's account."""
    found: list[tuple[str, str]] = []
    for each in _web_servers(site, jail):
        lines = ask(apache.Directives, places=each.configuration).lines
        user, group = apache.runs_as(lines)
        at = dict.fromkeys([*each.data, *(path for path, _ in apache.pages(lines))])
        asked = (
            'find -H "$@" -maxdepth 3 -type f -name config.inc.php '
            f'-exec grep -HsE "{_ADMINS}" {{}} +'
        )
        said = host.run(acting_as(user, asked, group=group, words=at)).stdout
        hosts = {row.partition(":")[0]: "" for row in said.splitlines() if row.startswith("/")}
        for file, name in re.findall(r"(?m)^(/[^:]+):[^#/\n]*\['host'\]\s*=\s*'([^']*)'", said):
            hosts[file] = name
        found += hosts.items()
    return found


def _for_localhost_alone(host: Any, mysql: Service, address: str) -> str:
    if not mysql.client:
        return (
            "without services.mysql.client Cellblock cannot know whom MySQL lets in from there: "
            "set it, or let phpMyAdmin use the socket (its host localhost)"
        )
    grants, here = _grants(host, mysql), Client(*LOCAL[:1], LOCAL[1:])
    users = dict.fromkeys(user for user, _, _ in grants.users if grants.let_in(user, here))
    lost = [each for each in users if each and not grants.let_in(each, Client(address))]
    lost = [each for each in lost if not re.match(r"(mysql|mariadb)[.]", each)]
    some = f"{', '.join(lost[:_MOST])}{f' and {len(lost) - _MOST} more' * (len(lost) > _MOST)}"
    if not lost:
        return ""
    return (
        f"no account of {some} fits {address}: let phpMyAdmin use the socket (its host localhost)"
    )


def _web_servers(site: Site, jail: str) -> list[Service]:
    there = (site.services[name] for name in site.jails[jail].services)
    return [each for each in there if each.rc == "apache24"]


_BY_SOCKET = "localhost"  # mysql(1) and PHP take the socket for this name


def _typed(ask: Ask, site: Site, jail: str, inside: str = "") -> str:
    """logins.sh, as it is run on the host, or `inside` the jail."""
    script, socket = _LOGINS.read_text(encoding="utf-8"), site.services["mysql"].socket
    lowest, highest = site.jails[jail].uids or (1, 0)
    words = f"sh -s {lowest} {highest} {_SAMPLE} {quote(socket or '-')}"
    for each in _web_servers(site, jail)[:1]:  # sites of its own account
        lines = ask(apache.Directives, places=each.configuration).lines
        served = [path for path, _ in apache.pages(lines) if not is_in(path, each.data)]
        words += f" {' '.join(map(quote, (each.user, *each.data, *served)))}"
    return f"{inside}{words} <<'END-OF-LOGINS'\n{script}END-OF-LOGINS"


def _own(host: Any, interfaces: dict[str, str], names: set[str], site: Site) -> set[str]:
    """Those that lead to this host; other servers see no other address than before."""
    has = set(re.findall(r"inet6? ([0-9a-f.:]+)", "".join(interfaces.values())))
    asked = FoundNames().command(sorted(names))
    rows = [row.split() for row in host.check_output(asked).splitlines()] if names else []
    mysql = site.jails[site.jail_of("mysql")]
    own = has | {str(mysql.address)}
    led = {row[0] for row in rows if len(row) > 1 and row[1] in own}
    return own | led | {mysql.hostname} | {each for each in names if each.startswith("127.")}


def _names(site: Site, jail: str, grants: str) -> tuple[str, ...]:
    """What MySQL calls the jail's address: in its own jail /etc/hosts has it."""
    moves = site.jail_of("mysql") in site.built
    return (site.jails[jail].hostname,) if moves and Grants.read(grants).finds_names else ()


def _refused(user: str, account: str, client: Client, grants: Grants | None) -> str:
    """Why the program gets no answer from there, and what to do; "" if it does."""
    now = f"'{user}'@'{client.address}'"
    name, _, host = account.rpartition("@")
    shown = f"SHOW GRANTS FOR '{name}'@'{host}'"
    if grants is None:
        if client.fits(host):
            return ""
        return (
            f"the account that fits it here is {account}, and without services.mysql.client "
            f"Cellblock cannot know whether there is one for {client.address}, too: set it, for "
            'example client = "/usr/local/bin/mysql -u root"'
        )
    if not grants.let_in(user, client):
        return (
            f"the account that fits it here is {account}, and none fits there: CREATE USER {now} "
            f"IDENTIFIED BY 'the password in that file'; then type what {shown} prints, with {now}"
        )
    lost = grants.lost(user, Client(*LOCAL[:1], LOCAL[1:]), client)
    return (
        f"from there it may not use {', '.join(lost)}: type those lines of {shown} with {now}"
        if lost
        else ""
    )


def _denied(site: Site, jail: str) -> str:
    """What [policy] lacks for programs that come to MySQL's port; "" if it lets them."""
    port = site.services["mysql"].tcp_ports[0]
    to = site.served.get((port, "tcp"), HOST)
    if site.lets(jail, to, port, "tcp"):
        return ""
    line = allowing(jail, to, f"{port}/tcp")
    return f"[policy] denies it: add {line} to `allow` there"


def _no_socket(jail: str) -> str:
    return f"whose directory jails.{jail}.mounts must have"


def test_programs_log_in(host: Any, ask: Ask, site: Site, jail: str) -> None:
    """With what the accounts' files say, by logins.sh beside this file: on the host, and in the
    jail, from whose address their programs come.
    """
    inside = _typed(ask, site, jail, f"jexec {jail} ")
    said = host.run(f"{_typed(ask, site, jail)}\necho ==\n{inside}")
    here, _, there = said.stdout.partition("==\n")
    assert said.rc == 0, f"the logins could not be tried: {said.stderr.strip()[-500:]}"
    could = [login for login, result, _ in _logins(here) if result == "ok"]
    now = {login: result for login, result, _ in _logins(there)}
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


def _logins(said: str) -> list[tuple[tuple[str, str, str], str, str]]:
    """File, user and host; the result; MySQL's account. An account may have written other lines."""
    rows = [(*line.split("\t"), "") for line in said.splitlines()]
    return [((row[0], row[1], row[2]), row[3], row[4]) for row in rows if len(row) in (5, 6)]


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
