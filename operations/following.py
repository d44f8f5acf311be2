"""Accounts of the host that change, come and go: a jail follows within a minute."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from pyinfra import host
from pyinfra.api import operation

from operations import files
from operations.command import ANY, Commands, Reversible
from operations.facts import Path
from operations.logins import Drivers, by_system

KEPT = ("master.passwd", "passwd", "pwd.db", "spwd.db", "group", ".accounts")
"""What the script writes in a jail's /etc: it does not count as a change by others, which an undo
would destroy. What others change in these is not told either.
"""


@operation()
def followed(jail: str, text: str, daemons: Sequence[str]) -> Commands:
    """Let cron bring the host's accounts into a jail each minute, by a script of this text.

    It runs once now: while a jail is built, an account may come.

    `daemons` are the rc scripts of the jail's mail daemons: if one asks for passwords of system
    accounts, the jail gets these, too. They go from file to file by a pipe: they are on no command
    line and in no log.
    """
    file, cron = script(jail), f"/etc/cron.d/cellblock-{jail}-accounts"
    for path in (file, cron):
        host.get_fact(Path, path=path)  # before anything is decided, as every fact
    by_password = by_system(host.get_fact(Drivers, scripts=daemons))
    yield from files.put._inner(path=file, content=text, mode="555")
    lock = f"/var/run/cellblock.{jail}.accounts"
    words = f"{lock} {file}{' passwords' if by_password else ''}"
    yield Reversible(
        f"lockf -s -t 60 {words}",
        undo=f"rm -f {told(jail)}",
        says=f"bring the host's accounts into jail {jail}, if any came while it was built",
        sees=ANY,
    )
    line = f"*\t*\t*\t*\t*\troot\tlockf -s -t 0 {words}\n"
    yield from files.put._inner(path=cron, content=line)


def script(jail: str) -> str:
    return f"/usr/local/etc/cellblock/{jail}.accounts"


def told(jail: str) -> str:
    """Where the script keeps what it has said last, so that cron mails it once."""
    return f"/var/run/cellblock.{jail}.told"


def listed(uids: tuple[int, int], inside: str = "") -> str:
    """sh that prints what a jail has to have of these accounts, one line for each.

    "account NAME:UID:GID:HOME:SHELL" of the range, "known NAME" of all; of people's groups (gid
    1000 and above) "people NAME:GID" and "member GROUP:NAME" of all members, of the system's "group
    NAME" and the members of the range. `inside` runs it in a jail.
    """
    rows = (
        'NR == FNR {print "known " $1; if ($3 ~ /^[0-9]+$/ && $3 >= low && $3 <= high) '
        '{ours[$1]; print "account " $1, $3, $4, $6, $7} next} NF < 4 {next} '
        "{theirs = $3 >= 1000 && $3 < 65530; "
        'if (theirs) print "people " $1, $3; else print "group " $1; '
        'n = split($4, member, ","); for (i = 1; i <= n; i++) '
        'if (theirs || member[i] in ours) print "member " $1, member[i]}'
    )
    return (
        f"{inside}awk -F: -v OFS=: -v low={uids[0]} -v high={uids[1]} {quote(rows)} "
        "/etc/passwd /etc/group"
    )
