"""Users' homes: the scripts that look there, and a step that wants none to use MySQL through
localhost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pyinfra.api import operation

from operations.command import ANY, Commands, Reversible, quote

SCRIPT = Path(__file__).with_name("audit.sh")
SHARING = SCRIPT.with_name("sharing.sh")


def typed(script: Path, words: Iterable[str]) -> str:
    """sh that runs a script of this machine on the host, without a file there."""
    text = script.read_text(encoding="utf-8")
    return f"sh -s {' '.join(words)} <<'END-OF-SCRIPT'\n{text}END-OF-SCRIPT\n"


@operation()
def found_clean(script: str, ranges: Sequence[str]) -> Commands:
    """Run `script`, audit.sh on the host, before anything else; the step fails if it finds any.

    `ranges` are the uids of the users, LOWEST:HIGHEST.
    """
    yield Reversible(
        f"sh {quote(script)} clean {' '.join(ranges)}",
        undo=":",
        says="check that no script of a user still uses MySQL through localhost",
        sees=ANY,
        limit=1800,
    )
