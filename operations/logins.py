"""Passwords of system accounts, in a jail whose daemons ask PAM or passwd for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.facts import FactBase

from operations.command import Commands, Look, Reversible

SYSTEMS = ("pam", "passwd", "shadow", "bsdauth")
"""Dovecot's passdb drivers that ask for the password of a system account."""

_DRIVERS = (
    'doveconf -n 2>/dev/null | awk \'$1 == "passdb" {on = 1; if ($2 != "{") print $2} '
    'on && $1 == "driver" {print $3} /^}/ {on = 0}\' | sort -u'
)
_HAS = '$2 != "" && $2 !~ /^[*]/'
_IN_RANGE = "$3 >= low && $3 <= high"


@dataclass(frozen=True)
class Accounts:
    """The accounts with these uids, lowest and highest, of a jail."""

    jail: str
    uids: tuple[int, int]

    @property
    def range(self) -> str:
        return f"-v low={self.uids[0]} -v high={self.uids[1]}"


class Drivers(FactBase[Sequence[str]]):
    """How Dovecot knows passwords, if it is one of these rc scripts."""

    default = tuple

    @staticmethod
    def assumed(scripts: Sequence[str]) -> Look:
        return Look(_DRIVERS, claim="Dovecot does not ask for passwords of system accounts")

    def command(self, scripts: Sequence[str]) -> str:
        return _DRIVERS if "dovecot" in scripts else "true"

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(word for row in output for word in row.split())


def by_system(drivers: Sequence[str]) -> bool:
    return bool(set(drivers) & set(SYSTEMS))


def _merged() -> str:
    """awk: with `given` NAME:HASH, which may be no row; then master.passwd: in the range an account
    has that hash, or none.
    """
    return (
        "given {hash[$1] = $2; next} "
        f'{_IN_RANGE} {{$2 = ($1 in hash) ? hash[$1] : "*"}} {{print}}'
    )


def _hosts(accounts: Accounts) -> str:
    """sh that prints NAME:HASH of the host's accounts that have a password."""
    rows = f'{_IN_RANGE} && {_HAS} {{print $1 ":" $2}}'
    return f"awk -F: {accounts.range} {quote(rows)} /etc/master.passwd"


@operation()
def carried(accounts: Accounts, root: str, scripts: Sequence[str]) -> Commands:
    """Give accounts of a jail that has never run the host's password hashes.

    Only if its daemons ask the system for passwords. The hashes go from file to file: they are on
    no command line, in no log and not in the journal. Undone with the jail's tree.
    """
    if not by_system(host.get_fact(Drivers, scripts=scripts)):
        host.noop("no daemon asks for passwords of system accounts")
        return
    etc = quote(f"{root}/etc")
    yield Reversible(
        f"cd {etc} && (umask 077 && {_hosts(accounts)} | "
        f"awk -F: -v OFS=: {accounts.range} {quote(_merged())} given=1 - given= master.passwd "
        f"> .logins) && [ -s .logins ] && mv -f .logins master.passwd && "
        f"pwd_mkdb -p -d {etc} {etc}/master.passwd",
        undo=":",
        says=f"give the accounts in {root} their passwords: the mail daemons ask for them",
    )


def differences(accounts: Accounts, wanted: bool) -> str:
    """sh that prints "extra NAME" and "lacks NAME" for a running jail, and no hash."""
    mine = "$1 in hash && hash[$1] == $2" if wanted else "0"
    rows = (
        f"NR == FNR {{if ({_IN_RANGE} && {_HAS}) hash[$1] = $2; next}} "
        f'$2 != "*" && !({mine}) {{print "extra", $1}} '
        + ('$1 in hash && $2 == "*" {print "lacks", $1}' if wanted else "")
    )
    inside = f"jexec {quote(accounts.jail)}"
    return (
        f"{inside} true && {inside} cat /etc/master.passwd | "
        f"awk -F: {accounts.range} {quote(rows)} /etc/master.passwd -"
    )
