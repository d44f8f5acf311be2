"""The report as a page: what report.json says in, one HTML text out; nothing else is asked.

Everything that comes from a host, a site file or a daemon's mouth is escaped by the template
engine, and the page forbids itself scripts and the network besides.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rollout.report import certificates, chart

_CLOSE_UPS = 12  # outages of an act that are drawn large; the table has them all
_AROUND = 2.0  # seconds that a close-up shows on either side
_OUTCOMES = {"rolledback": "rolled back", "waiting": "waits at its gate"}
_UNSEEN = {"Cc", "Cf", "Co", "Cs"}  # control, format (right to left!), private, surrogate


def render(report: Mapping[str, Any]) -> str:
    """The page of one report. Every figure on it is named after its place in the JSON."""

    def at(pointer: str) -> Any:
        value: Any = report
        for key in pointer.strip("/").split("/"):
            value = value[int(key)] if isinstance(value, list) else value[_unescaped(key)]
        return value

    template = _ENVIRONMENT.get_template("report.html.j2")
    return template.render(
        report=report, at=at, chart=chart, close_ups=_close_ups, certificates=certificates.of_act
    )


def _unescaped(key: str) -> str:
    return key.replace("~1", "/").replace("~0", "~")  # a JSON pointer's own (RFC 6901)


def _key(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _outcome(word: str) -> str:
    return _OUTCOMES.get(word, word)


def _close_ups(act: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The outages of an act that are drawn large, each with its service and the time around it."""
    found = [
        {
            "service": service,
            "gap": gap,
            "pointer": f"services/{n}/gaps/{m}",
            "start": max(0.0, gap["start"] - _AROUND),
            "end": min(act["seconds"], gap["end"] + _AROUND),
        }
        for n, service in enumerate(act["services"])
        for m, gap in enumerate(service["gaps"])
    ]
    return sorted(found, key=lambda each: -float(each["gap"]["seconds"]))[:_CLOSE_UPS]


def _visible(value: Any) -> Any:
    """Characters that are not seen, or that put others out of their order, by their numbers."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(
        f"⟨U+{ord(letter):04X}⟩"
        if unicodedata.category(letter) in _UNSEEN and letter not in "\n\t"
        else letter
        for letter in value
    )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _figure(value: Any) -> str:
    """A number as it is in the JSON, but that seconds have all their places: 2.5 is 2.500."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_visible,
)
_ENVIRONMENT.filters |= {"utc": _utc, "figure": _figure, "key": _key, "outcome": _outcome}
