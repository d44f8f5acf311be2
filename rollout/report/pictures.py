"""The drawings of a report by themselves, as SVG files.

`python -m rollout.report.pictures REPORT FOLDER`: REPORT is a report.json. FOLDER gets timeline.svg
and server.svg, drawn from its first act, and the part of REPORT that they need, as report.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout.report import chart, summary
from rollout.report.page import environment, rows

_MARGIN = 12.0
_ABOVE, _BELOW = 40.0, 40.0  # units for the headings and for the legend
_STEP = ("step", "number", "outcome", "began", "ended", "expected_outage")
_SERVICE = ("service", "verdict", "gaps", "line")
_SERVER = ("missing", "daemons", "ports")
_JAIL = ("name", "addresses", "of_site", "mounts")


def needed(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the drawings need of a report: a report of one act."""
    act = report["acts"][0]
    small = {
        "name": act["name"],
        "seconds": act["seconds"],
        "steps": [_only(each, _STEP) for each in act["steps"]],
        "services": [_only(each, _SERVICE) for each in act["services"]],
    }
    for when in ("before", "after"):
        jails = [_only(each, _JAIL) for each in act[when]["jails"]]
        for jail in jails:
            jail["mounts"] = [_only(each, ("mode",)) for each in jail["mounts"]]
        small[when] = {**_only(act[when], _SERVER), "jails": jails}
    return {"site": report["site"], "wan_address": report["wan_address"], "acts": [small]}


def _only(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: values[key] for key in keys}


def timeline(report: Mapping[str, Any]) -> str:
    """Who answered, and when, during the first act."""
    act = report["acts"][0]
    drawn = chart.timeline(act["steps"], rows(act), summary.outages(act), 0.0, act["seconds"])
    heading = f"Who answered during {act['name']} of {report['site']}"
    used = {band.kind for row in drawn.rows for band in row.bands}
    part = {"x": _MARGIN, "width": chart.WIDTH, "height": drawn.height, "heading": heading}
    return _picture(heading, chart.WIDTH, [{**part, "timeline": drawn, "server": None}], used)


def server(report: Mapping[str, Any]) -> str:
    """The server before and after the first act."""
    act = report["acts"][0]
    parts: list[dict[str, Any]] = []
    for n, when in enumerate(("before", "after")):
        drawn = chart.server(act[when], report["wan_address"])
        x = _MARGIN + n * (drawn.width + _MARGIN)
        size = {"x": x, "width": drawn.width, "height": drawn.height}
        parts.append({**size, "heading": when.capitalize(), "server": drawn, "timeline": None})
    title = f"The server {report['site']} before and after {act['name']}"
    return _picture(title, parts[-1]["x"] + parts[-1]["width"] - _MARGIN, parts, set())


def _picture(title: str, width: float, parts: Sequence[Mapping[str, Any]], used: set[str]) -> str:
    legend = []
    x = _MARGIN + 4
    for kind, words in chart.KINDS.items():
        if kind in used:
            legend.append({"x": round(x, 1), "kind": kind, "words": words})
            x += 20 + len(words) * 6.6 + 16
    height = _ABOVE + max(each["height"] for each in parts) + (_BELOW if legend else 0)
    return (
        environment.get_template("picture.svg.j2").render(
            title=title,
            width=round(width + 2 * _MARGIN),
            height=round(height),
            parts=parts,
            legend=legend,
        )
        + "\n"
    )


def draw(report: Mapping[str, Any], folder: Path) -> None:
    small = needed(report)
    text = json.dumps(small, indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(f"{text}\n", encoding="utf-8")
    (folder / "timeline.svg").write_text(timeline(small), encoding="utf-8")
    (folder / "server.svg").write_text(server(small), encoding="utf-8")


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
