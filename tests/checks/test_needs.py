"""What a service's daemon needs, and what carries it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rollout.plan.step import NEEDS
from rollout.site import Site
from steps.carriers import Carriers
from tests.checks.asking import asking
from tests.checks.needing import needs


def test_none_are_there(host: Any, carriers: Carriers, site: Site, service: str) -> None:
    """For a plan, which lists them all, each with what becomes of it."""
    found, unread = needs(host, site, service)
    answers = [(need, carriers.answer(service, need, asking(host))) for need in found]
    counts = Counter(answer.outcome for _, answer in answers)
    counts["not understood"] += len(unread)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    lines = [
        f"{need.kind} {need.what}: {answer.outcome}: {answer.by}; {need.said}"
        for need, answer in answers
    ]
    lines += [f"not understood: {each}" for each in unread]
    assert not lines, "\n".join([f"{NEEDS} {service}: {told}", *lines])
