"""What an attempt is: who does what in which jail, and the question that tells its success."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Whom = Literal["account", "daemon", "root"]
"""An account's script, the user of the service's daemon, or the jail's root."""

HERE = "/root/breakin"
"""What only the host has; in a jail this is a path in its own /root, which is closed, too.

secret     a word that no jail may learn
victim     a file whose owner, mode and content no jail may change
hit-MARK   made by the program breakin-hit, if it runs as the host's root and outside of a jail
heard-*    what the host's listeners heard
"""


@dataclass(frozen=True)
class Goal:
    """A success: `seen` is sh that succeeds on the host if it is there, `planted` makes it there,
    `clean` removes that again. Without `planted` it is not shown that the question sees a success.
    """

    seen: str
    planted: str
    clean: str


@dataclass(frozen=True)
class Attempt:
    """`does` is typed in the jail; $mark is its own word there and in the goal.

    `jails` are those of these services, or all. One that is `lasting` is typed once, when its jail
    serves, and stays while later steps, and the undo of all, run. One that comes `last` is typed
    when all others have been, and stays for the undo; it is for jails with a disk of their own,
    which it fills. `reaches` is the address and port
    of a connection, and the address that it comes from if not the jail's first, by which the
    stand-in, which has no sockets, can be asked. `lacks` says what a
    place has no model of, so that it is not played on the stand-in.
    """

    name: str
    whom: Whom
    goal: Goal
    does: str
    jails: tuple[str, ...] = ()
    lasting: bool = False
    last: bool = False
    reaches: str = ""
    lacks: str = ""


WRITTEN = Goal(
    'case $written in *" $mark "*) ;; *) false ;; esac',
    'echo "$mark" > /etc/breakin-"$mark"',
    'rm -f /etc/breakin-"$mark"',
)
"""Its mark is in a file of the host, or in the name of one."""
RAN = Goal(f'[ -e {HERE}/hit-"$mark" ]', 'breakin-hit "$mark"', f'rm -f {HERE}/hit-"$mark"')
"""A program ran as the host's root, outside of the jail."""
LEARNT = Goal(
    'find -x "$root/tmp" -type f -name "loot-$mark" -exec grep -lF "$secret" {} + | grep -q .',
    f'jexec "$jail" sh -c "cat > /tmp/loot-$mark; chmod 666 /tmp/loot-$mark" < {HERE}/secret',
    'jexec "$jail" rm -f "/tmp/loot-$mark"',
)
"""The host's secret is in a file of the jail."""
CHANGED = Goal(
    f'[ "$(cat {HERE}/was)" != "$(stat -f \'%Su %Lp %z %l\' {HERE}/victim) $(cat {HERE}/victim)" ]',
    f"chmod 777 {HERE}/victim",
    f"chmod 600 {HERE}/victim",
)
"""A file of the host's root has another owner, mode, size, content, or one link more."""
FILLED = Goal(
    f"[ $(df -k / | awk 'NR == 2 {{print $4}}') -lt $(($(cat {HERE}/free) - 32768)) ]",
    f"dd if=/dev/zero of={HERE}/full bs=1024k count=64",
    f"rm -f {HERE}/full",
)
"""32 MiB of the host's file system are gone."""
CALLED = Goal(
    f'grep -lF "$mark" {HERE}/heard-* | grep -qv -e "heard-$own$" -e "heard-u$own$"',
    f'echo "$mark" >> {HERE}/heard-planted',
    f"rm -f {HERE}/heard-planted",
)
"""A listener outside of the jail heard it. In a jail 127.0.0.1 is its own address: its own may."""
HURT = Goal(
    f"for each in pid pid-www; do ps -o state= -p $(cat {HERE}/$each) | grep -q '^[^TZ]' "
    "|| exit 0; done; false",
    f"kill -STOP $(cat {HERE}/pid)",
    f"kill -CONT $(cat {HERE}/pid)",
)
"""A process of the host has ended, or stands still."""
NO_KERNEL = "FreeBSD's kernel: a jail is a chroot there, under another kernel's rules"
NO_PROCESSES = "which processes a jail sees: they are this machine's"
NO_SOCKETS = "sockets: it answers who would be reached"
NO_SYSLOG = "syslogd's sockets"
NO_ACCOUNTS = "su, and programs that run as another user"


def mounted(where: str) -> Goal:
    """Something is mounted at a place of the jail that had no mount."""
    return Goal(
        f"mount -p | awk -v at=\"$root{where}\" '$2 == at {{found = 1}} END {{exit !found}}'",
        f'mkdir -p "$root{where}" && mount -t nullfs -o ro /var/empty "$root{where}"',
        f'umount "$root{where}"',
    )
