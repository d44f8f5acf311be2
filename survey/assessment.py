"""The assessment of a host: its findings, by severity, as text and as data."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Severity = Literal["stops", "look at it", "for information"]
SEVERITIES: tuple[Severity, ...] = ("stops", "look at it", "for information")
VERSION = 1
"""Of the JSON: raised when a key changes its meaning or goes."""


@dataclass(frozen=True)
class Finding:
    """One finding. `id` is the same on every host and in every version; `about` a service, or "".

    `why` it is asked; `here` is what it is on this host, and `places` the FILE:LINE in it; `todo`
    what to do, and `look` the commands that show it; `docs` is a place in the documentation.
    """

    id: str
    severity: Severity
    why: str
    here: str
    docs: str
    about: str = ""
    todo: str = ""
    look: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(re.findall(r"(?<![\w.])(/[\w.@+/-]+:\d+)\b", self.here)))

    def without(self, secrets: Callable[[str], str]) -> Finding:
        """The same, its words without secrets."""
        return replace(self, here=secrets(self.here), todo=secrets(self.todo))

    def data(self) -> dict[str, Any]:
        return asdict(self) | {"look": list(self.look), "places": list(self.places)}


_DOING = (
    "add allow approve ask check chflags close correct create disable enable end expected "
    "give install keep let list log make mend move name open pkg put remove rename "
    "restart run see service set start stop survey sysrc take unload until upgrade use "
    "wait write"
)
_ADVICE = re.compile(rf"(?:: |[.;] |, and )(?=(?:{_DOING.replace(' ', '|')})\b)", re.IGNORECASE)


def split(message: str) -> tuple[str, str]:
    """A check's message, as what is and what to do: what begins with a verb that tells to do it.

    The second is "" where the message is about what is alone.
    """
    found = _ADVICE.search(message)
    if found is None:
        return message, ""
    return message[: found.start()], message[found.end() :]


def data(findings: Sequence[Finding], host: str, release: str, made: str) -> dict[str, Any]:
    """For JSON: the findings, the most severe first."""
    return {
        "version": VERSION,
        "host": host,
        "release": release,
        "made": made,
        "findings": [each.data() for each in ordered(findings)],
    }


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda each: SEVERITIES.index(each.severity))


def counted(findings: Sequence[Finding]) -> str:
    """1 stops, 3 to look at, 9 for information"""
    counts = [sum(each.severity == one for each in findings) for one in SEVERITIES]
    stops, look, rest = counts
    word = "finding stops" if stops == 1 else "findings stop"
    return f"{stops or 'no'} {word} a move, {look} to look at, {rest} for information"


def text(findings: Sequence[Finding], host: str, release: str, made: str) -> str:
    """All findings, in paragraphs."""
    lines = [
        f"Assessment of {host} ({release}), {made}",
        f"{counted(findings).capitalize()}.",
    ]
    for severity in SEVERITIES:
        chosen = [each for each in findings if each.severity == severity]
        if chosen:
            lines += ["", severity.upper()]
        for each in chosen:
            lines += ["", *_paragraph(each)]
    return "\n".join(lines) + "\n"


_WIDTH = 100
_SHORT = 160


def _paragraph(finding: Finding) -> Iterator[str]:
    about = f" ({finding.about})" if finding.about else ""
    yield f"{finding.id}{about}"
    for title, rows in (
        ("here", finding.here.splitlines()),
        ("why", [finding.why]),
        ("to do", finding.todo.splitlines()),
    ):
        for n, row in enumerate(filter(str.strip, rows)):
            head = f"  {title}: " if n == 0 else "    "
            yield from _wrapped(f"{head}{row.strip()}")
    for line in finding.look if finding.severity != "for information" else ():
        if len(line) <= _SHORT:  # in one piece, to be copied; the JSON has the others
            yield f"  see it: {line}"
    yield f"  more: {finding.docs}"


def _wrapped(row: str) -> list[str]:
    return textwrap.wrap(
        row, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
