"""The report as a page: report.json's values in, one HTML text out, from nothing else.

The template engine escapes everything that comes from a host, a site file or a daemon. The page
also forbids itself scripts and the network.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rollout.report import certificates, chart, summary
from rollout.report.tables import OUTCOMES

_CLOSE_UPS = 12  # outages of an act that are drawn large; the table has them all
_AROUND = 2.0  # seconds that a close-up shows on either side
_WELL = ("confirmed", "undone")
_UNSEEN = {"Cc", "Cf", "Co", "Cs"}  # control, format (right to left!), private, surrogate
_FAILED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (undo )?(\d{3}) failed\b")


def render(report: Mapping[str, Any]) -> str:
    """The page of one report. Each figure on it names its place in the JSON."""

    def at(pointer: str) -> Any:
        value: Any = report
        for key in pointer.strip("/").split("/"):
            value = value[int(key)] if isinstance(value, list) else value[_unescaped(key)]
        return value

    return environment.get_template("report.html.j2").render(
        report=report,
        at=at,
        chart=chart,
        said=summary.run(report),
        summary=summary,
        gaps=_gaps,
        close_ups=_close_ups,
        rows=rows,
        comparisons=_comparisons,
        failures=_failures,
        certificates=certificates.of_act,
        moment=partial(_moment, report["zone"]),
        well=_WELL,
    )


def rows(act: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The services of an act for its timeline, those too that were not watched."""
    watched = [each["service"] for each in act["services"]]
    whole = {"start": 0.0, "end": act["seconds"], "state": "not watched", "by": None}
    return [
        *act["services"],
        *(
            {"service": name, "line": [whole]}
            for name in summary.unwatched(act)
            if name not in watched
        ),
    ]


def _gaps(act: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each time a service did not answer: the gap, its place in the act, and the outage that it
    is part of.
    """
    outages = summary.outages(act)
    return [
        {
            "service": service,
            "gap": gap,
            "outage": next(
                each for each in outages if each.service == service["service"] and gap in each.gaps
            ),
            "pointer": f"services/{n}/gaps/{m}",
        }
        for n, service in enumerate(act["services"])
        for m, gap in enumerate(service["gaps"])
    ]


def _close_ups(act: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The gaps that are drawn large, the longest first, each with the time around it."""
    found = sorted(_gaps(act), key=lambda each: -float(each["gap"]["seconds"]))[:_CLOSE_UPS]
    return [
        {
            **each,
            "start": max(0.0, each["gap"]["start"] - _AROUND),
            "end": min(act["seconds"], each["gap"]["end"] + _AROUND),
        }
        for each in found
    ]


def _comparisons(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What differs from before, by step or by act, where anything does."""
    found = []
    for act in report["acts"]:
        for each in (*act["steps"], act):
            if each["compared"] and each["compared"]["differences"]:
                found.append({"of": each.get("step") or act["name"], **each["compared"]})
    return found


def _failures(step: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The commands and undos of a step that failed, by the host's log: when (seconds since 1970)
    and what.
    """
    found = []
    doing: dict[str, str] = {}
    for line in step["log"]:
        number, _, says = line.partition(" ")
        doing[number] = says
        if (match := _FAILED.match(line)) and (when := _time(match[1])):
            what = f"{'the undo of ' if match[2] else ''}command {match[3]} failed"
            found.append({"at": when, "what": what, "says": doing.get(match[3], "")})
    return found


def _time(text: str) -> float | None:
    """A command may print what looks like a time and is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _unescaped(key: str) -> str:
    return key.replace("~1", "/").replace("~0", "~")  # a JSON pointer's own (RFC 6901)


def _key(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _outcome(word: str) -> str:
    return OUTCOMES.get(word, word)


def _visible(value: Any) -> Any:
    """Invisible characters, and those that reorder others, are shown by their numbers."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(
        f"⟨U+{ord(letter):04X}⟩"
        if unicodedata.category(letter) in _UNSEEN and letter not in "\n\t"
        else letter
        for letter in value
    )


def _moment(zone: Mapping[str, Any], seconds: float) -> str:
    """A time in the operator's zone and in UTC."""
    utc = datetime.fromtimestamp(seconds, UTC)
    local = utc.astimezone(timezone(timedelta(seconds=zone["offset"])))
    there = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    if not zone["offset"]:
        return there
    offset = f"UTC{local:%z}"
    offset = f"{offset[:-2]}:{offset[-2:]}"
    name = f"{zone['name']} ({offset})" if str(zone["name"])[:1].isalpha() else offset
    there = there if utc.date() != local.date() else f"{utc:%H:%M:%S} UTC"
    return f"{local:%Y-%m-%d %H:%M:%S} {name}, {there}"


def _got(error: str) -> str:
    """What a client got, without the name of Python's exception and the error's number."""
    return re.sub(r"^[A-Za-z_.]+: (?:\[[A-Z]\w* -?\d+\] )?(?=.)", "", error)


def _figure(value: Any) -> str:
    """A number as it is in the JSON, seconds with all three decimals: 2.5 is 2.500."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_visible,
)
environment.filters |= {"figure": _figure, "key": _key, "outcome": _outcome, "got": _got}
