"""Users' accounts: ready to be moved, and each of their scripts runs as its owner."""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote
from typing import Any

from operations import following
from rollout.site import Site

_PROBE = Path(__file__).with_name("accounts.sh")
_REFUSALS = {
    "root": "belongs to root",
    "foreign": "belongs to uid 65534",
    "open": "is writable by all",
}


def _rows(host: Any, uids: tuple[int, int], where: str = "") -> list[list[str]]:
    """The accounts of a range in passwd: name, uid, gid, home."""
    of_range = f"$3 >= {uids[0]} && $3 <= {uids[1]}"
    awk = f"awk -F: -v OFS=: '{of_range} {{print $1, $3, $4, $6}}' /etc/passwd"
    return [line.split(":") for line in host.check_output(where + awk).splitlines()]


def _accounts_of(site: Site, service: str) -> tuple[str, tuple[int, int]]:
    """A service's jail, and the lowest and the highest uid of its accounts."""
    jail = site.jail_of(service)
    uids = site.jails[jail].uids
    assert uids is not None, (
        f"jails.{jail}.uids is not set: expected the lowest and the highest uid"
    )
    return jail, uids


def _listed(found: list[str]) -> str:
    more = f" and {len(found) - 10} more" if len(found) > 10 else ""
    return "; ".join(found[:10]) + more


def test_have_a_uid_of_their_own(host: Any, uids: tuple[int, int]) -> None:
    """What is written for an account by its uid would be another one's, too."""
    names: dict[str, list[str]] = {}
    for name, uid, _, _ in _rows(host, uids):
        names.setdefault(uid, []).append(name)
    twice = [
        f"{uid} belongs to {' and '.join(them)}" for uid, them in names.items() if len(them) > 1
    ]
    assert not twice, f"accounts that share a uid; each needs its own: {_listed(twice)}"


def test_are_there(host: Any, uids: tuple[int, int]) -> None:
    """The range of a jail's uids is a typing error if nobody is in it."""
    rows = _rows(host, uids)
    assert rows, f"no account has a uid from {uids[0]} to {uids[1]}: see the uids of the jail"


def test_have_plain_names(host: Any, uids: tuple[int, int]) -> None:
    """Names of accounts become parts of file names and of rules."""
    rows = _rows(host, uids)
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    odd = [name for name, *_ in rows if not set(name) <= letters or name.isdigit() or not name]
    assert not odd, f"account names that cannot be used in a configuration file: {_listed(odd)}"


def test_have_homes(host: Any, uids: tuple[int, int]) -> None:
    """The jail mounts homes: an account without one has nothing there."""
    command = (
        "while IFS=: read -r name _ uid _ _ home _; do "
        f'if [ "$uid" -ge {uids[0]} ] && [ "$uid" -le {uids[1]} ] && [ ! -d "$home" ]; '
        'then echo "$name ($home)"; fi; done < /etc/passwd 2>/dev/null'
    )
    missing = host.check_output(command).splitlines()
    assert not missing, f"accounts whose home directory does not exist: {_listed(missing)}"


_NSSWITCH = "/etc/nsswitch.conf"
_OWN_FILES = ("files", "compat", "cache", "db")
"""Sources of nsswitch.conf(5) that are this host's own files; compat is NIS for a line with a +."""


def test_are_in_passwd(host: Any, uids: tuple[int, int]) -> None:
    """A jail gets the accounts of /etc/passwd, and none of a directory (LDAP, NIS)."""
    said = host.check_output(
        f"grep -nHE '^[[:space:]]*passwd[[:space:]]*:' {_NSSWITCH}; "
        "grep -nH '^+' /etc/passwd; echo =; getent passwd | cut -d : -f 1,3; echo =; "
        "cut -d : -f 1 /etc/passwd"
    )
    lines, found, known = (part.split("\n") for part in said.split("=\n", 2))
    told = [line for line in lines if line.startswith("/etc/passwd:") or _names_others(line)]
    others = [row.split(":") for row in found if row and row.split(":")[0] not in known]
    inside = [name for name, uid in others if uids[0] <= int(uid) <= uids[1]]
    # A directory that lists nobody (sssd does so) may have anybody.
    unknown = told and not others
    which = f" ({_listed(inside)})" if inside else ""
    assert not inside and not unknown, (
        f"{'; '.join(told) or 'getent passwd'}: accounts{which} come from elsewhere than "
        "/etc/passwd, and a jail gets those of /etc/passwd alone: their pages and mail would not "
        "be found there. Put those that own pages or mail into /etc/passwd and /etc/group, with "
        "their uids, and take the other source out of that line; or leave services whose jails "
        "have `uids` out of `order`"
    )


def _names_others(line: str) -> bool:
    """Whether FILE:NUMBER:passwd: SOURCE [STATUS=ACTION] ... names more than the host's files."""
    sources = re.sub(r"\[[^]]*\]|#.*", " ", line.split(":", 3)[-1]).split()
    return any(each not in _OWN_FILES for each in sources)


def test_are_those_of_the_host(host: Any, site: Site, jail: str) -> None:
    """Those of the jail's uids, and their groups: who came, went or changed on the host has done so
    in the jail. A change of the last two minutes may be on its way: a script follows each minute.
    """
    uids = site.jails[jail].uids
    assert uids is not None
    here, there = (
        {*host.check_output(following.listed(uids, where)).splitlines()}
        for where in ("", f"jexec {quote(jail)} ")
    )
    wrong = _unlike(here, there)
    if wrong and host.check_output("find /etc/master.passwd /etc/group -mmin -2"):
        wrong = set()
    told = [f"{'the host' if row in here else 'the jail'} has {row}" for row in sorted(wrong)]
    assert not wrong, (
        f"the accounts of jail {jail} are not the host's: {_listed(told)}. Does cron run? "
        f"{following.script(jail)} brings them over"
    )


def _unlike(here: set[str], there: set[str]) -> set[str]:
    """Of accounts and people's groups, what one has and the other has not, and members of groups
    and accounts that both have.
    """
    both = _names(here) & _names(there)
    return {
        row
        for row in here ^ there
        if row.startswith("account ")
        or (row.startswith("people ") and row in here)
        or (row.startswith("member ") and set(row.split(" ")[1].split(":")) <= both)
    }


def _names(rows: set[str]) -> set[str]:
    kinds = ("known ", "people ", "group ")
    return {row.split(" ")[1].split(":")[0] for row in rows if row.startswith(kinds)}


def left_out(site: Site, service: str) -> str:
    """sh that prints the accounts that the configuration lacks.

    Read in the jail: with 800 accounts the file is 700 kB.
    """
    jail, uids = _accounts_of(site, service)
    awk = (
        "FILENAME == ARGV[1] { there[$0] = 1; next } $3 >= lowest && $3 <= highest && "
        '!(("<Directory \\"" $6 "/" public "/\\">") in there) { print $1 }'
    )
    return (
        f"jexec {jail} awk -F: -v lowest={uids[0]} -v highest={uids[1]} "
        f"-v public={site.accounts.public} {quote(awk)} {site.accounts.include} /etc/passwd"
    )


def test_are_in_the_configuration(host: Any, site: Site, service: str) -> None:
    missing = host.check_output(left_out(site, service)).splitlines()
    jail = site.jail_of(service)
    assert not missing, (
        f"{site.accounts.include} in jail {jail} has no entry for {_listed(missing)}"
    )


def test_have_running_pools(host: Any, site: Site, service: str) -> None:
    jail, uids = _accounts_of(site, service)
    answer = host.run("service -j %s %s onestatus", jail, site.accounts.fpm)
    assert answer.rc == 0, f"{site.accounts.fpm} does not run in jail {jail}"
    sockets = host.check_output("jexec %s find /var/run -type s -name 'php-fpm-*'", jail).split()
    names = {name for name, *_ in _rows(host, uids, f"jexec {jail} ")}
    without = names - {each.removeprefix("/var/run/php-fpm-")[:-5] for each in sockets}
    assert not without, f"accounts without a PHP pool in jail {jail}: {_listed(sorted(without))}"


def test_scripts_run_as_their_owners(host: Any, site: Site, service: str) -> None:
    """In one round trip for all accounts, by accounts.sh beside this file."""
    jail, uids = _accounts_of(site, service)
    table, own = site.jails[jail], site.accounts
    given = [*uids, own.public, own.probed, own.handler, table.address]
    given += [site.services[service].ports[0].port, site.services[service].user, own.php_cgi]
    uid_of = {name: uid for name, uid, *_ in _rows(host, uids, f"jexec {jail} ")}
    words = " ".join(map(str, given))
    text = _PROBE.read_text(encoding="utf-8")
    answer = host.run(f"jexec {jail} sh -s {words} <<'END-OF-PROBE'\n{text}END-OF-PROBE\n")
    assert answer.rc == 0, (
        f"the scripts of the accounts could not be tried: {answer.stderr.strip()[-500:]}"
    )
    rows = [line.split() for line in answer.stdout.splitlines()]
    assert rows, (
        f"no account in jail {jail} has a {own.public} directory that the web server can read"
    )
    wrong = [text for row in rows if (text := _wrong(row, uid_of))]
    assert not wrong, (
        f"{len(wrong)} of {len(rows)} scripts did not run as expected: {_listed(wrong)}"
    )


def _wrong(row: list[str], uid_of: dict[str, str]) -> str:
    name, what, status, uid, reads = row
    if what != "who":
        ran = f"{name}: a script that {_REFUSALS[what]} was not refused: it ran as uid {uid}"
        silent = f"{name}: no answer for a script that {_REFUSALS[what]}"
        return ran if uid != "-" else silent if status == "none" else ""
    if (status, uid) != ("200", uid_of[name]):
        ran = f"it ran as uid {uid}" if uid != "-" else "it did not run"
        answer = "no answer" if status == "none" else f"HTTP status {status}"
        return f"{name}: expected the script to run as uid {uid_of[name]}; {ran} ({answer})"
    return f"{name}: the script could read another user's private file" if reads != "closed" else ""
