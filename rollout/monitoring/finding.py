"""A finding of a watch: something that a person has to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

KINDS = ("host", "site", "step", "jail", "check", "certificate", "disk", "limit", "queue", "drift")
"""What an id begins with; what is likely the cause of others comes first."""


@dataclass(frozen=True)
class Finding:
    """`says` is a line of our own words, and `evidence` what the host said: that goes to the
    terminal alone. `detail` tells apart what is found under one id: if it differs from the last
    time, the finding is new.
    """

    id: str
    says: str
    evidence: str = ""
    todo: str = ""
    detail: str = ""

    @property
    def kind(self) -> str:
        return kind(self.id)


def kind(finding: str) -> str:
    """The kind of the finding with this id."""
    return finding.partition("/")[0]


@dataclass(frozen=True)
class Looked:
    """All findings of one watch, and the kinds that it could ask for: of others nothing is known.

    `reached` is false if the host did not answer.
    """

    findings: tuple[Finding, ...]
    asked: frozenset[str] = frozenset(KINDS)
    reached: bool = True


def ordered(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """By kind, and otherwise as they came; of two with one id the first counts. In their one line
    is nothing that could begin another, and nowhere what cannot be written as UTF-8: a mount point
    may have any name.
    """
    first: dict[str, Finding] = {}
    for each in map(_plain, found):
        first.setdefault(each.id, each)
    return tuple(sorted(first.values(), key=lambda each: KINDS.index(each.kind)))


def _plain(found: Finding) -> Finding:
    lines = {key: _printable(getattr(found, key)) for key in ("id", "says", "todo", "detail")}
    return replace(found, evidence=_printable(found.evidence, "\n\t"), **lines)


def _printable(text: str, besides: str = "") -> str:
    return "".join(each if each.isprintable() or each in besides else "?" for each in text)
