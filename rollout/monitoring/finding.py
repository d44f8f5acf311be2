"""A finding of a watch: something that a person has to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    """By kind, and otherwise as they came. Of two with one id the first counts."""
    first: dict[str, Finding] = {}
    for each in found:
        first.setdefault(each.id, each)
    return tuple(sorted(first.values(), key=lambda each: KINDS.index(each.kind)))
