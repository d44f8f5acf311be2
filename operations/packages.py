"""Packages of a jail, cloned from the host's installed ones, so that the versions are the same."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import operation

from operations.command import ANY, Commands, Reversible, quote


@operation()
def cloned(root: str, names: Sequence[str], store: str) -> Commands:
    """Pack installed packages and their dependencies (pkg create); add them below a jail's root.

    `store` is a directory for the package files, created and undone here. The jail must not have
    run yet. The packages themselves are undone with the jail's tree.
    """
    packed = quote(store)
    wanted = " ".join(quote(name) for name in names)
    yield Reversible(
        f"install -d -m 700 {packed} && pkg create -q -o {packed} "
        f"$(pkg info -q -d {wanted} | sort -u) {wanted}",
        undo=f"rm -rfx {packed}",
        says=f"pack {', '.join(names)} and their dependencies",
        sees=ANY,
        limit=900,
    )
    yield Reversible(
        f"pkg -r {quote(root)} add -q {packed}/*.pkg",
        undo=":",
        says=f"install these packages below {root}",
        sees=ANY,
        limit=900,
    )
