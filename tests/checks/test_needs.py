"""What a service's daemon needs, and what carries it."""

from __future__ import annotations

from collections import Counter

from rollout.plan.step import NEEDS
from tests.checks.needing import Needing


def test_are_met(needs: Needing, service: str) -> None:
    """Whatever the daemon has open, and its rc variables: carried into the jail, or reachable."""
    found = needs.of(service)
    told = list(dict.fromkeys([*found.refused, *found.unread]))
    assert not told, f"services.{service}: {'; '.join(told)}"


def test_none_are_there(needs: Needing, service: str) -> None:
    """For a plan, which lists all that the daemon needs: each moves with it, or is reached."""
    found = needs.of(service)
    counts = Counter(answer.outcome for _, answer in found.met)
    counts["unread"] += len(found.unread)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    lines = [
        f"{need.kind} {need.what}: {answer.outcome}: {answer.by}; {need.said}"
        for need, answer in found.met
    ]
    lines += [f"unread: {each}" for each in found.unread]
    assert not lines, "\n".join([f"{NEEDS} {service}: {told}", *lines])
