"""What each check claims and why it is asked, read from tests/checks; docs/checks.md is made of it.

`python -m survey.reference > docs/checks.md` writes that page again.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from functools import cache
from typing import NamedTuple

from rollout.engine.collecting import CHECKS

PAGE = "docs/checks.md"


class Entry(NamedTuple):
    """`test` is like preflight::daemon_is_enabled; `why` is "" where the claim says all."""

    test: str
    why: str

    @property
    def id(self) -> str:
        return stable_id(self.test)

    @property
    def claim(self) -> str:
        return " ".join(self.test.replace("::", " ").replace("_", " ").split())


def stable_id(test: str) -> str:
    """preflight::daemon_is_enabled -> preflight.daemon_is_enabled"""
    return test.replace("::", ".")


def link(test: str) -> str:
    """The place in the docs, as forges make anchors of headings."""
    anchor = Entry(test, "").claim.lower().replace(" ", "-")
    return f"{PAGE}#{anchor}"


@cache
def entries() -> dict[str, Entry]:
    """All checks, by their tests."""
    found = {}
    for file in sorted(CHECKS.glob("test_*.py")):
        noun = file.stem.removeprefix("test_")
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                test = f"{noun}::{node.name.removeprefix('test_')}"
                found[test] = Entry(test, " ".join((ast.get_docstring(node) or "").split()))
    return found


def why(test: str) -> str:
    return entries()[test].why


def page() -> str:
    """docs/checks.md"""
    lines = textwrap.wrap(_INTRO, _WIDTH)
    noun = ""
    for each in entries().values():
        if each.test.partition("::")[0] != noun:
            noun = each.test.partition("::")[0]
            lines += ["", f"## {noun}"]
        lines += ["", f"### {each.claim}", "", *textwrap.wrap(f"`{each.id}`. {each.why}", _WIDTH)]
    return "\n".join(["# The checks", "", *lines]) + "\n"


_WIDTH = 120
_INTRO = (
    "Every check, by its id, with why it is asked. `check`, `plan`, `apply`, `verify` and `survey` "
    "ask those that a site needs, as far as its steps are done. This page is made from the checks "
    "themselves (`python -m survey.reference`)."
)

if __name__ == "__main__":
    sys.stdout.write(page())
