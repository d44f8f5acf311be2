"""The plan: steps as values, in order."""

from rollout.plan.plan import Plan, make

__all__ = ["Plan", "make"]
