"""Where everything is in the report's drawings: values for the templates, in units of an SVG.

Long names are cut, since an SVG does not wrap; the whole name is in the title beside it and in the
tables.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, takewhile
from typing import Any

from rollout.report.summary import Outage
from rollout.report.tables import OUTCOMES

WIDTH = 1000.0
_LETTER = 7.2  # units that a letter of the drawings' text takes, rather more than less
_SMALL = 6.4  # the same for the small text above an outage
_ROW = 36.0
_STEPS = 20.0  # the height of the row of steps
_LEAST = 3.0  # units: an outage is seen, however short it is
_APART = 15.0  # units between two slanted names
_SLANT = (
    0.77,
    0.64,
)  # how far a slanted name reaches to the left and up, for each unit of its length
_NAME = 120.0  # units that a slanted name may take
_UNITS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))
_PACES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800)
_HOURS = (3600, 7200, 14400, 43200, 86400)
_TICKS = 9
KINDS = {
    "host": "answered by the host",
    "jail": "answered by a jail",
    "unknown": "answered, by whom is not known",
    "within": "not answered, within the step's limit",
    "out": "not answered, longer than expected",
    "unwatched": "not watched",
}
"""What a band of the timeline means, by its kind."""


@dataclass(frozen=True)
class Band:
    """`key` is a step's place among those of the act. `note` stands above an outage, from `at`."""

    x: float
    width: float
    kind: str
    label: str
    title: str
    start: float
    end: float
    key: str = ""
    note: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Name:
    """A step's name, slanted: it ends at `x`, and a line leads from there to its step at `to`."""

    x: float
    to: float
    text: str


@dataclass(frozen=True)
class Row:
    y: float
    label: str
    name: str
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True)
class Chart:
    """`top` is where the row of steps begins, below the names."""

    left: float
    right: float
    top: float
    height: float
    names: tuple[Name, ...]
    steps: tuple[Band, ...]
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]


def cut(text: str, width: float) -> str:
    """As much of a text as fits into that many units."""
    room = max(1, int(width / _LETTER))
    return text if len(text) <= room else text[: room - 1] + "…"


def timeline(
    steps: Sequence[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]],
    outages: Sequence[Outage],
    start: float,
    end: float,
) -> Chart:
    """The services against the steps, from `start` to `end` (seconds of the act)."""
    end = max(end, start + 0.001)
    longest = max((len(each["service"]) for each in services), default=5)
    left = min(230.0, max(70.0, longest * _LETTER + 14))
    right = WIDTH - 16
    scale = (right - left) / (end - start)

    def span(since: float, until: float) -> tuple[float, float]:
        since, until = max(since, start), min(until, end)
        return round(left + (since - start) * scale, 2), round((until - since) * scale, 2)

    bands = [
        (each, _step(str(key), each, *span(each["began"], each["ended"])))
        for key, each in enumerate(steps)
        if each["ended"] > start and each["began"] < end
    ]
    inside = all(
        len(_numbered(each)) * _LETTER + 6 <= band.width
        for each, band in bands
        if start <= each["began"] and each["ended"] <= end
    )
    names = [] if inside else _names([(str(e["step"]), b) for e, b in bands], left, right)
    top = 4 + max((len(each.text) * _LETTER * _SLANT[1] + 12 for each in names), default=0.0)
    first = top + _STEPS + 20
    rows = []
    for number, service in enumerate(services):
        of_service = [each for each in outages if each.service == service["service"]]
        stretches = [
            _stretch(each, of_service, *span(each["start"], each["end"]))
            for each in service["line"]
            if each["end"] > start and each["start"] < end
        ]
        # An outage is drawn wider than it is so that it is seen: nothing may be painted over it.
        stretches.sort(key=lambda band: band.kind in ("out", "within"))
        label = cut(service["service"], left - 14)
        shown = tuple(_noted(stretches, right))
        rows.append(Row(round(first + number * _ROW, 2), label, service["service"], shown))
    return Chart(
        left,
        right,
        round(top, 2),
        round(first + max(1, len(services)) * _ROW + 8, 2),
        tuple(names),
        tuple(_labelled(each, band, inside) for each, band in bands),
        tuple(rows),
        tuple(Tick(span(at, at)[0], label) for at, label in _ticks(start, end)),
    )


def _numbered(step: Mapping[str, Any]) -> str:
    return f"{step['number'] or ''} {step['step']}".strip()


def _labelled(step: Mapping[str, Any], band: Band, whole: bool) -> Band:
    label = _numbered(step) if whole else str(step["number"] or "")
    return replace(band, label=label if len(label) * _LETTER + 3 <= band.width else "")


def _names(bands: Sequence[tuple[str, Band]], left: float, right: float) -> list[Name]:
    """The names in the order of the steps, none over another. Without room for all, those of the
    widest.
    """
    most = int((right - left) / _APART)
    widest = sorted(bands, key=lambda each: -each[1].width)[:most]
    drawn = [each for each in bands if each in widest]
    to = [round(band.x + band.width / 2, 2) for _, band in drawn]
    at = list(to)
    for n in range(1, len(at)):
        at[n] = max(at[n], at[n - 1] + _APART)
    last = right
    for n in reversed(range(len(at))):
        at[n] = last = min(at[n], last)
        last -= _APART
    return [
        Name(round(x, 2), end, cut(name, min(_NAME, (x - 4) / _SLANT[0])))
        for x, end, (name, _) in zip(at, to, drawn, strict=True)
    ]


def kind(state: str, by: str | None) -> str:
    """The class that a stretch is drawn by; of an outage, while nothing says that it may be."""
    if state == "answered":
        return "unknown" if by is None else "host" if by == "host" else "jail"
    return "out" if state == "not answered" else "unwatched"


def _stretch(each: Mapping[str, Any], outages: Iterable[Outage], x: float, width: float) -> Band:
    drawn = kind(each["state"], each["by"])
    words, note = each["state"], ""
    if each["state"] == "answered":
        words = f"answered by {each['by']}" if each["by"] else "answered, by whom is not known"
    if drawn == "out":
        if width < _LEAST:
            x, width = round(x - (_LEAST - width) / 2, 2), _LEAST
        for outage in outages:
            if any(
                gap["start"] < each["end"] and gap["end"] > each["start"] for gap in outage.gaps
            ):
                drawn = "out" if outage.alarm else "within"
                note = f"{each['end'] - each['start']:.2f} s ({outage.allowed})"
                words = f"not answered ({outage.allowed})"
    label = each["by"] or ""
    label = cut(label, width - 8) if width >= min(60, len(label) * _LETTER + 8) else ""
    title = f"{words}, {each['start']:.3f} to {each['end']:.3f} s"
    return Band(x, width, drawn, label, title, each["start"], each["end"], note=note)


def _noted(bands: Iterable[Band], right: float) -> Iterable[Band]:
    """The bands, each note where it has room; a note that has none is left to the title."""
    taken = 0.0
    for band in bands:
        length = len(band.note) * _SMALL
        at = band.x + band.width / 2 + 10
        if at + length > right:
            at -= length + 20
        if not band.note or at < taken:
            yield replace(band, note="")
        else:
            taken = at + length + 8
            yield replace(band, at=round(at, 2))


def _step(key: str, each: Mapping[str, Any], x: float, width: float) -> Band:
    ends_well = each["outcome"] in ("confirmed", "undone")
    outcome = OUTCOMES.get(each["outcome"], each["outcome"])
    title = f"{_numbered(each)}: {outcome}, {each['began']:.3f} to {each['ended']:.3f} s"
    return Band(
        x,
        max(width, 1.0),
        "well" if ends_well else "ill",
        "",
        title,
        each["began"],
        each["ended"],
        key,
    )


def _ticks(start: float, end: float) -> Iterable[tuple[float, str]]:
    pace = next(
        (pace for pace in (*_PACES, *_HOURS) if (end - start) / pace <= _TICKS), 86400.0 * 7
    )
    first = -(-start // pace)
    size, unit = max((each for each in _UNITS if each[0] <= max(pace, 1.0)), key=lambda u: u[0])
    for at in takewhile(lambda at: at <= end, ((first + n) * pace for n in count())):
        yield at, f"{at / size:.10g} {unit}" if size == 1 else f"{at / size:.4g} {unit}"


# The server: ports at the left, who is behind them at the right, a line from each to its own.


@dataclass(frozen=True)
class Port:
    y: float
    label: str
    title: str
    line: str
    kind: str
    public: bool


@dataclass(frozen=True)
class Box:
    y: float
    height: float
    kind: str
    name: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Server:
    height: float
    ports: tuple[Port, ...]
    boxes: tuple[Box, ...]
    port_x: float = 10.0
    port_width: float = 190.0
    box_x: float = 330.0
    box_width: float = 280.0
    width: float = 620.0


def server(picture: Mapping[str, Any], wan: str) -> Server:
    """The public ports of a server and whom they lead to."""
    shape = Server(0, (), ())
    boxes: list[Box] = []
    below = 8.0
    middles: dict[str, float] = {}
    daemons = ", ".join(picture["daemons"]) or "none of the site's daemons"
    runs = textwrap.wrap(f"runs {daemons}", int((shape.box_width - 16) / _LETTER))
    host = ("host", "host", "the host", (wan, *runs))
    jails = [
        (
            each["name"],
            "jail" if each["of_site"] else "other",
            f"jail {each['name']}",
            (", ".join(each["addresses"]) or "no address", _mounted(each["mounts"])),
        )
        for each in picture["jails"]
    ]
    for name, drawn, title, lines in (host, *jails):
        height = 28.0 + 18 * len(lines)
        shown = tuple(cut(line, shape.box_width - 16) for line in lines)
        told = cut(title, shape.box_width - 16)
        boxes.append(Box(below, height, drawn, told, "; ".join((title, *lines)), shown))
        middles[name] = below + height / 2
        below += height + 10
    ports = []
    down = 8.0
    for each in (one for one in picture["ports"] if one["public"]):
        name = f"{each['service']} {each['port']}/{each['proto']}"
        to = each["leads_to"]
        end = middles.get(to or "")
        ports.append(
            Port(
                down,
                cut(name, shape.port_width - 12),
                f"{name} leads to {to or 'nobody'}",
                "" if end is None else _curve(shape, down + 12, end),
                "host" if to == "host" else "jail" if end is not None else "nobody",
                each["public"],
            )
        )
        down += 32
    return Server(max(below, down) + 4, tuple(ports), tuple(boxes))


def _mounted(mounts: Sequence[Mapping[str, Any]]) -> str:
    writable = sum(each["mode"].split(",")[0] == "rw" for each in mounts)
    words = "1 mount" if len(mounts) == 1 else f"{len(mounts)} mounts"
    return f"{words}, {writable} writable" if mounts else "no mounts"


def _curve(shape: Server, start: float, end: float) -> str:
    left, right = shape.port_x + shape.port_width, shape.box_x
    middle = (left + right) / 2
    return f"M{left:g} {start:g}C{middle:g} {start:g} {middle:g} {end:g} {right:g} {end:g}"
