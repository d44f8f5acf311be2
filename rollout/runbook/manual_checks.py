"""What a person types in the place of a check, and what he sees if it holds."""

from __future__ import annotations

import importlib

from operations.command import Look
from rollout.errors import Refused
from rollout.plan.step import Check
from rollout.site import Site


def looks(check: Check, site: Site) -> tuple[Look, ...]:
    """The lines of tests/checks/manual for a check. Raises Refused where nobody wrote any."""
    noun, _, claim = check.test.partition("::")
    try:
        module = importlib.import_module(f"tests.checks.manual.{noun}")
        by_hand = getattr(module, claim)
    except (ImportError, AttributeError):
        raise Refused(
            f"check {check.test} has no line that a person could type in its place",
            todo=f"write {claim}(site, ...) in tests/checks/manual/{noun}.py",
        ) from None
    return tuple(by_hand(site, **dict(check.values)))
