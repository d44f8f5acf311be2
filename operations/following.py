"""Accounts of the host that change, come and go: a jail follows within a minute."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from pyinfra import host
from pyinfra.api import operation

from operations import files
from operations.command import Commands
from operations.facts import Path
from operations.logins import Drivers, by_system

KEPT = ("master.passwd", "passwd", "pwd.db", "spwd.db", "group", ".accounts")
"""What the script writes in a jail's /etc: no change by others that an undo would destroy."""


@operation()
def followed(jail: str, script: str, text: str, cron: str, daemons: Sequence[str]) -> Commands:
    """Let cron bring the host's accounts into a jail each minute, by `script`, whose text is given.

    `daemons` are the rc scripts of the jail's mail daemons: if one asks for passwords of system
    accounts, the jail gets these, too. They go from file to file by a pipe: they are on no command
    line and in no log.
    """
    for path in (script, cron):
        host.get_fact(Path, path=path)  # before anything is decided, as every fact
    by_password = by_system(host.get_fact(Drivers, scripts=daemons))
    yield from files.put._inner(path=script, content=text, mode="555")
    once = f"lockf -s -t 0 /var/run/cellblock.{jail}.accounts"
    words = f"{quote(script)}{' passwords' if by_password else ''}"
    line = f"*\t*\t*\t*\t*\troot\t{once} {words}\n"
    yield from files.put._inner(path=cron, content=line)


def listed(uids: tuple[int, int], inside: str = "") -> str:
    """sh that prints the accounts of a range, "account NAME:UID:GID:HOME:SHELL", and which of them
    are further members of which group, "member GROUP:NAME". `inside` runs it in a jail.
    """
    rows = (
        "NR == FNR {if ($3 ~ /^[0-9]+$/ && $3 >= low && $3 <= high) "
        '{ours[$1]; print "account " $1, $3, $4, $6, $7} next} '
        '{print "group " $1; n = split($4, member, ","); for (i = 1; i <= n; i++) '
        'if (member[i] in ours) print "member " $1, member[i]}'
    )
    return (
        f"{inside}awk -F: -v OFS=: -v low={uids[0]} -v high={uids[1]} {quote(rows)} "
        "/etc/passwd /etc/group"
    )
