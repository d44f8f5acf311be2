"""What a person types instead of a check, and what it prints if the check passes."""

from __future__ import annotations

import importlib

from operations.command import Look
from rollout.errors import Refused
from rollout.plan.step import Check
from rollout.site import Site


def manual_lines(check: Check, site: Site) -> tuple[Look, ...]:
    """The lines of tests/checks/manual for a check. Raises Refused if there are none."""
    noun, _, claim = check.test.partition("::")
    try:
        module = importlib.import_module(f"tests.checks.manual.{noun}")
        lines = getattr(module, claim)
    except (ImportError, AttributeError):
        raise Refused(
            f"check {check.test} has no line that a person could type instead",
            todo=f"write {claim}(site, ...) in tests/checks/manual/{noun}.py",
        ) from None
    return tuple(lines(site, **dict(check.values)))
