"""A jail's own file system: a file of the host's, of its whole size from the start."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations.command import Commands, Reversible, quote
from operations.facts import Path

_WRITTEN = 4
"""MiB a second that the slowest disk of a server writes."""


@operation()
def image(path: str, mib: int) -> Commands:
    """Make a file of so many MiB with a file system in it, readable by root only.

    All its blocks are there from the start: where the host's file system fills up, what writes to a
    file with holes would see errors of the disk. The undo removes it.
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
        undo=f"for md in $(mdconfig -l -f {at} 2>/dev/null); do mdconfig -d -u $md; done",
        says=f"create a file system in {path}",
        limit=60 + mib // _WRITTEN,
    )


@operation()
def mounted(script: str) -> Commands:
    """Let this rc script mount the file system; the undo lets it unmount that.

    Not a live change: at boot the script has mounted it again when an undo begins.
    """
    yield Reversible(
        f"service {script.rpartition('/')[2]} onestart",
        undo=f"[ ! -e {quote(script)} ] || /bin/sh {quote(script)} onestop",
        says="mount it",
        limit=120,
    )
