"""A jail's own file system: a file of the host's, of its whole size from the start."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations.command import Commands, Reversible, quote
from operations.facts import Path
from operations.jail import nothing_mounted_below

_WRITTEN = 4
"""MiB a second that the slowest disk of a server writes."""


@operation()
def image(path: str, mib: int, home: str) -> Commands:
    """Make a file of so many MiB with a file system in it, readable by root only.

    All its blocks are there from the start: where the host's file system fills up, what writes to a
    file with holes would see errors of the disk. The undo removes it, and unmounts it from `home`
    first: at boot its rc script may have mounted it before the undo begins.
    """
    if host.get_fact(Path, path=path).kind != "absent":
        raise OperationError(
            f"{path} exists already: expected nothing there, and nothing is overwritten"
        )
    at = quote(path)
    yield Reversible(
        f"(umask 077 && dd if=/dev/zero of={at} bs=1024k count={mib} status=none) && fsync {at}",
        undo=f"rm -f {at}",
        says=f"create {path}, {mib} MiB",
        limit=60 + mib // _WRITTEN,
    )
    yield Reversible(
        f"md=$(mdconfig -a -t vnode -f {at}) && if newfs -n -U /dev/$md >/dev/null; "
        "then mdconfig -d -u $md; else mdconfig -d -u $md; false; fi",
        undo=_let_go(path, home),
        says=f"create a file system in {path}",
        limit=60 + mib // _WRITTEN,
    )


@operation()
def mounted(script: str, path: str, home: str) -> Commands:
    """Let this rc script mount the file system in `path` at `home`; the undo needs no script.

    Not a live change: at boot the script has mounted it again when an undo begins.
    """
    yield Reversible(
        f"service {script.rpartition('/')[2]} onestart",
        undo=_let_go(path, home),
        says=f"mount it at {home}",
        limit=120,
    )


def _let_go(path: str, home: str) -> str:
    """sh that unmounts it and detaches its units, as far as there are any; not while something is
    mounted below.

    By force: a jail that has ended holds its root as long as one of its sockets waits for a client.
    """
    ours = '$2 == at && $1 ~ "^/dev/md" {found = 1} END {exit !found}'
    return (
        f"{nothing_mounted_below(home)} && "
        f"if mount -p | awk -v at={quote(home)} {quote(ours)}; then umount -f {quote(home)}; fi && "
        f"for md in $(mdconfig -l -f {quote(path)} 2>/dev/null); do mdconfig -d -u $md; done"
    )
