"""MySQL's data: the running server's own, and the same in the jail; who may log in there."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from operations.command import ANY, Look
from operations.mysql import FILES
from rollout.site import Site
from tests.checks.granted import BY_SOCKET

_WHOM = "SELECT user, host FROM mysql.user"
_YES = "'Y'"


def server_uses_the_data_of_the_site_file(site: Site, service: str) -> Iterator[Look]:
    """Its working directory is its data directory."""
    wanted = site.services[service]
    pid = f"sockstat -46lq -j 0 -p {wanted.ports[0].port} | awk 'NR == 1 {{print $3}}'"
    data = wanted.data[0] if wanted.data else "the directory in services.mysql.data"
    yield Look(f"procstat -f $({pid}) | awk '$3 == \"cwd\" {{print $10}}'", data)


def _files(site: Site, service: str) -> str:
    there = site.services[service]
    return " ".join([*FILES, *(f"{each}/my.cnf" for each in there.data), *there.configuration])


def addresses_are_the_jails(site: Site, service: str) -> Iterator[Look]:
    """Any, a local one, or one of the host's as the bind-address of a file that is copied."""
    yield Look(f"grep -D skip -rsE '(bind|admin)[-_]address' {_files(site, service)}", ANY)
    yield Look("sysrc -qin mysql_args | grep -E '(bind|admin)[-_]address'")


def binary_logs_have_names_of_their_own(site: Site, service: str) -> Iterator[Look]:
    """Each that it prints must be the value of log_bin or relay_log in my.cnf."""
    names = "$(hostname | cut -d. -f1)*.index"
    for each in site.services[service].data:
        yield Look(f"ls {each}/{names} 2>/dev/null", ANY)
    yield Look(f"grep -D skip -rsE 'log[-_]bin|relay[-_]log' {_files(site, service)}", ANY)


def is_one_server(site: Site, service: str) -> Iterator[Look]:
    yield Look("sysrc -qin mysql_instances | grep .")


def names_of_clients_are_found(site: Site, service: str) -> Iterator[Look]:
    """Names of other machines need a name server that [policy] lets the jail ask."""
    names = "host REGEXP '[a-z]' AND host <> 'localhost'"
    client = site.services[service].client or "mysql"
    yield Look(f"{client} -N -e {quote(f'{_WHOM} WHERE {names}')}", ANY)


def accounts_known_by_the_socket_are_in_the_jail(site: Site, service: str) -> Iterator[Look]:
    """Each must be an account of the system that the jail has, by its `uids`."""
    client = site.services[service].client or "mysql"
    yield Look(f"{client} -N -e {quote(f'{_WHOM} WHERE {BY_SOCKET}')}", ANY)


def files_by_path_are_in_the_jail(site: Site, service: str) -> Iterator[Look]:
    """If secure_file_priv is empty, these may read and write files where the jail has others."""
    client = site.services[service].client or "mysql"
    yield Look(f"{client} -N -e 'SELECT @@secure_file_priv'", ANY)
    having = f"{_WHOM} WHERE File_priv = {_YES} AND Super_priv <> {_YES}"
    yield Look(f"{client} -N -e {quote(having)}", ANY)


def jails_server_uses_the_hosts_data(site: Site, service: str) -> Iterator[Look]:
    wanted, jail = site.services[service], site.jail_of(service)
    port = wanted.ports[0].port
    pid = f"jexec {jail} sockstat -46lq -p {port} | awk 'NR == 1 {{print $3}}'"
    for each in wanted.data[:1]:
        there = f"{site.root(jail)}{each}"
        yield Look(f"procstat -f $({pid}) | awk '$3 == \"cwd\" {{print $10}}'", there)
        yield Look(f"stat -f %i $(realpath {each}) {there} | uniq | wc -l", f"{ANY}1")


def programs_log_in(site: Site, jail: str) -> Iterator[Look]:
    """For each file that it prints: look whether its program works in the jail, whose address MySQL
    sees. cellblock verify logs in with what twenty accounts have there.
    """
    lowest, highest = site.jails[jail].uids or (1, 0)
    homes = f"$(awk -F: '$3 >= {lowest} && $3 <= {highest} {{print $6}}' /etc/passwd | head -n 20)"
    names = " -o ".join(f"-name {each}" for each in ("wp-config.php", ".env", ".my.cnf"))
    yield Look(f"find -x {homes} -maxdepth 4 -type f \\( {names} \\)")


def people_may_log_in_from_the_jail(site: Site, jail: str) -> Iterator[Look]:
    """If it prints another host than localhost, people's accounts must fit the jail's address."""
    places = " ".join(
        path for each in site.jails[jail].services for path in site.services[each].data
    )
    named = "'cfg.*Servers.*host'"
    yield Look(f"find -H {places} -name config.inc.php -exec grep -H {named} {{}} + || true", ANY)


def programs_may_come_from_the_jail(site: Site, jail: str) -> Iterator[Look]:
    """For each file that it prints, if it names another host than localhost: its account in MySQL
    must be there for the jail's address, too (CREATE USER, and what SHOW GRANTS prints).
    """
    yield from programs_log_in(site, jail)
    if client := site.services["mysql"].client:
        yield Look(f"{client} -e {quote(_WHOM)}", ANY)
