"""Settings of libraries and programs in /usr/local/etc that every account may read."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from pyinfra.api import operation

from operations import jail
from operations.carried import LOCAL_ETC
from operations.command import Commands, Reversible

_STARTED = (
    *("rc.d", "rc.conf.d", "periodic", "cron.d", "newsyslog.conf.d", "syslog.d", "devd"),
    *("cellblock", "sudoers.d", "pam.d"),
)
"""What cron, rc and other daemons of a system run or read."""


def listed(without: Sequence[str]) -> str:
    """sh, to be run in /usr/local/etc: the names of these files and links, but for `without`."""
    pruned = " -o ".join(f"-path {quote(f'./{each}')}" for each in (*_STARTED, *without))
    return (
        f"find -x . \\( {pruned} -o -type d ! -perm -005 \\) -prune -o "
        "\\( -type f -perm -004 -o -type l \\) -print"
    )


@operation()
def readable(into: str, without: Sequence[str] = ()) -> Commands:
    """Copy to a jail's /usr/local/etc what every account may read in the host's.

    Programs that pages run read settings which no daemon's configuration names: fonts, delegates of
    ImageMagick, drivers of ODBC, certificates. What the jail has by then stays as it is, and
    `without`, names in /usr/local/etc, is left out. Only before the jail has ever run. Undone with
    its tree.
    """
    names = quote(f"{into}/.settings")
    lacks = f'[ -e {quote(into)}/"$each" ] || [ -L {quote(into)}/"$each" ] || echo "$each"'
    yield Reversible(
        f"cd {LOCAL_ETC} && {listed(without)} | "
        f"while IFS= read -r each; do {lacks}; done > {names} && "
        f"{jail.packed(LOCAL_ETC, into, f'-T {names}')} && rm {names}",
        undo=":",
        says=f"copy what every account may read in {LOCAL_ETC} to {into}",
        limit=120,
    )
