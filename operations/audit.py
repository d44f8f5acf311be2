"""People's homes: a step that may only be done once nobody there looks for MySQL on localhost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyinfra.api import operation

from operations.command import ANY, Commands, Reversible, quote

SCRIPT = Path(__file__).with_name("audit.sh")


@operation()
def found_clean(script: str, ranges: Sequence[str]) -> Commands:
    """Ask `script`, audit.sh on the host, before anything else is done; its no fails the step.

    `ranges` are the uids of people, LOWEST:HIGHEST.
    """
    yield Reversible(
        f"sh {quote(script)} clean {' '.join(ranges)}",
        undo=":",
        says="see that nobody's files say localhost for MySQL any more",
        sees=ANY,
        limit=1800,
    )
