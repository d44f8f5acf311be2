"""Users' accounts: ready to be moved, and each of their scripts runs as its owner."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from operations.command import ANY, Look
from operations.following import listed
from rollout.site import Site
from tests.checks import test_accounts


def _of(uids: tuple[int, int], then: str) -> str:
    return f"awk -F: '$3 >= {uids[0]} && $3 <= {uids[1]} {then}' /etc/passwd"


def are_there(site: Site, uids: tuple[int, int]) -> Iterator[Look]:
    yield Look(_of(uids, "{print $1; exit}"), ANY)


def are_in_passwd(site: Site, uids: tuple[int, int]) -> Iterator[Look]:
    """NIS and LDAP are sources that a jail does not have."""
    files = "files|compat|cache|db|[[].*[]]"
    said = "grep -sE '^[[:space:]]*passwd:' /etc/nsswitch.conf"
    yield Look(f"{said} | grep -vE ':([[:space:]]+({files}))*$'")
    yield Look("grep '^+' /etc/passwd")


def have_a_uid_of_their_own(site: Site, uids: tuple[int, int]) -> Iterator[Look]:
    yield Look(f"{_of(uids, '{print $3}')} | sort | uniq -d")


def have_plain_names(site: Site, uids: tuple[int, int]) -> Iterator[Look]:
    odd = "($1 !~ /^[A-Za-z0-9._-]+$/ || $1 ~ /^[0-9]+$/) {print $1}"
    yield Look(_of(uids, f"&& {odd}"))


def have_homes(site: Site, uids: tuple[int, int]) -> Iterator[Look]:
    homes = _of(uids, "{print $6}")
    yield Look(f'{homes} | while read -r home; do if [ ! -d "$home" ]; then echo "$home"; fi; done')


def are_those_of_the_host(site: Site, jail: str) -> Iterator[Look]:
    """Accounts of the range alone: others, and members of groups, a jail need not have."""
    uids = site.jails[jail].uids or (0, 0)
    here, there = (
        f'"$({listed(uids, where)} | grep ^account | sort)"'
        for where in ("", f"jexec {quote(jail)} ")
    )
    yield Look(f"[ {here} = {there} ] || echo they differ")


def are_in_the_configuration(site: Site, service: str) -> Iterator[Look]:
    yield Look(test_accounts.left_out(site, service))


def have_running_pools(site: Site, service: str) -> Iterator[Look]:
    jail = site.jail_of(service)
    yield Look(f"service -j {jail} {site.accounts.fpm} onestatus", f"{ANY} is running {ANY}")


def scripts_run_as_their_owners(site: Site, service: str) -> Iterator[Look]:
    """For the first account only; cellblock verify tries as many as accounts.probed says."""
    jail, own = site.jail_of(service), site.accounts
    uids = site.jails[jail].uids or (0, 0)
    address, port = site.jails[jail].address, site.services[service].ports[0].port
    first = f"$({_of(uids, '{print $1; exit}')})"
    script = '<?php echo "\\nran by ", trim(shell_exec("id -un")), "\\n";'
    lay = f'cd "$HOME/{own.public}" && echo {quote(script)} > by-hand.php && chmod 755 by-hand.php'
    yield Look(f"who={first}; jexec {jail} su -m $who -c {quote(lay)}")
    ask = f"GET /~%s/by-hand.php HTTP/1.0\\r\\nHost: {site.jails[jail].hostname}\\r\\n\\r\\n"
    yield Look(f"printf {quote(ask)} $who | nc -w 10 {address} {port}", f"{ANY}ran by {ANY}")
    yield Look(f"jexec {jail} su -m $who -c {quote(f'rm ~/{own.public}/by-hand.php')}")
