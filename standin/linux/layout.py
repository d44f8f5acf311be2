"""Paths that the outside, the tree and the model have to agree on."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

# Not FreeBSD's: the shims' way to the model, and this machine's commands.
HIDDEN = "libexec/standin"
# Beside the tree of a stand-in that costs less CPU and records less (StandIn.build).
LIGHT = "light"
# A pid modulo SLOTS is its slot; modulo LONG_LINES, the file that holds a long reply.
SLOTS = 256
LONG_LINES = 8192
LONGEST_SOCKET_PATH = 100


def control_place(where: Path) -> Path:
    """The socket beside the tree, or in the temporary directory where that path is too long."""
    near = where / "control"
    if len(str(near)) <= LONGEST_SOCKET_PATH:
        return near
    mark = hashlib.sha256(str(where).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"standin-{mark}.control"
