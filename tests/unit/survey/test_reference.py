"""The page of all checks is as the checks are, and those of a survey say why they are asked."""

from __future__ import annotations

import re

from rollout.plan import Plan
from survey import reference
from tests.unit.steps.test_sample_steps import DOVECOT, PLAN, STAYING
from tests.unit.test_documentation import PROJECT


def test_the_page_is_as_the_checks_are() -> None:
    page = (PROJECT / reference.PAGE).read_text(encoding="utf-8")
    assert page == reference.page(), "python -m survey.reference > docs/checks.md"


def test_each_link_leads_to_a_heading() -> None:
    headings = re.findall(r"(?m)^### (.+)$", reference.page())
    anchors = {each.lower().replace(" ", "-") for each in headings}
    assert len(anchors) == len(reference.entries())
    assert {reference.link(each).partition("#")[2] for each in reference.entries()} == anchors


def asked(made: Plan) -> set[str]:
    """By a survey: before anything is begun, for gates, and for what a plan lists."""
    found = set(made.checks(1))
    for step in made.steps:
        found |= {*step.finds, *(step.gate.unless if step.gate else ())}
    return {each.test for each in found}


def test_whatever_a_survey_reports_says_why_it_is_asked() -> None:
    tests = asked(PLAN) | asked(STAYING) | asked(DOVECOT)
    assert [each for each in sorted(tests) if not reference.why(each)] == []
