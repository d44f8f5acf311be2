"""The assessment as a page: its data in, one HTML text out, from nothing else.

The template engine escapes everything that comes from a host. The page also forbids itself scripts
and the network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader

from rollout.report import page as report
from survey.assessment import SEVERITIES

_TEMPLATES = (Path(__file__).parent / "templates", Path(report.__file__).parent / "templates")
PROJECT = Path(__file__).parents[2]

environment = report.environment.overlay(loader=FileSystemLoader(_TEMPLATES))

_SAID = {
    "stops": "Mend these first: the service named, or nothing, can move as it is.",
    "look at it": "You decide: nothing is stopped by these.",
    "for information": "Good to know before you begin.",
}


def render(assessed: Mapping[str, Any], counted: str, folder: Path) -> str:
    """The page that stands in `folder`; `counted` says in words how many findings there are.

    Its links lead into the documentation beside the program, where that is there.
    """
    by_severity = {
        each: [one for one in assessed["findings"] if one["severity"] == each]
        for each in SEVERITIES
    }
    return environment.get_template("assessment.html.j2").render(
        assessed=assessed,
        counted=counted,
        by_severity=by_severity,
        said=_SAID,
        link=lambda docs: _link(docs, folder),
    )


def _link(docs: str, folder: Path) -> str:
    """A place in the documentation, seen from the page; "" where it is not at hand."""
    file, _, anchor = docs.partition("#")
    if not (PROJECT / file).is_file():
        return ""
    there = os.path.relpath(PROJECT / file, folder.resolve())
    return f"{there}#{anchor}" if anchor else there
