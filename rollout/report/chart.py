"""Where things stand in the report's drawings: values for the templates, in units of an SVG.

Long names are cut, since an SVG does not wrap; the whole name is in the title beside it, and in the
tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

WIDTH = 1000.0
_LETTER = 7.2  # units that a letter of the drawings' text takes, rather more than less
_ROW = 30.0
_BAR = 16.0
_TOP = 34.0  # the steps and a little air
_LEAST = 3.0  # units: an outage is seen, however short beside the rest
_UNITS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))
_PACES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800)
_HOURS = (3600, 7200, 14400, 43200, 86400)
_TICKS = 9


@dataclass(frozen=True)
class Band:
    """`key`: of a step, its place among those of the act."""

    x: float
    width: float
    kind: str
    label: str
    title: str
    start: float
    end: float
    key: str = ""


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
    left: float
    right: float
    height: float
    steps: tuple[Band, ...]
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]


def cut(text: str, width: float) -> str:
    """As much of a text as fits into so many units."""
    room = max(1, int(width / _LETTER))
    return text if len(text) <= room else text[: room - 1] + "…"


def timeline(
    steps: Sequence[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]],
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

    rows = []
    for number, service in enumerate(services):
        bands = [
            _stretch(each, *span(each["start"], each["end"]))
            for each in service["line"]
            if each["end"] > start and each["start"] < end
        ]
        # What is widened so that it is seen must not be painted over.
        bands.sort(key=lambda band: band.kind == "out")
        label = cut(service["service"], left - 14)
        rows.append(Row(_TOP + number * _ROW, label, service["service"], tuple(bands)))
    return Chart(
        left,
        right,
        _TOP + max(1, len(services)) * _ROW + 24,
        tuple(
            _step(str(key), each, *span(each["began"], each["ended"]))
            for key, each in enumerate(steps)
            if each["ended"] > start and each["began"] < end
        ),
        tuple(rows),
        tuple(Tick(span(at, at)[0], label) for at, label in _ticks(start, end)),
    )


def kind(state: str, by: str | None) -> str:
    """The class that a stretch is drawn by."""
    if state == "answered":
        return "unknown" if by is None else "host" if by == "host" else "jail"
    return "out" if state == "not answered" else "unwatched"


def _stretch(each: Mapping[str, Any], x: float, width: float) -> Band:
    drawn = kind(each["state"], each["by"])
    words = each["state"]
    if each["state"] == "answered":
        words = f"answered by {each['by']}" if each["by"] else "answered, by whom is not known"
    if drawn == "out" and width < _LEAST:
        x, width = round(x - (_LEAST - width) / 2, 2), _LEAST
    label = each["by"] or ""
    label = cut(label, width - 8) if width >= min(60, len(label) * _LETTER + 8) else ""
    title = f"{words}, {each['start']:.3f} to {each['end']:.3f} s"
    return Band(x, width, drawn, label, title, each["start"], each["end"])


def _step(key: str, each: Mapping[str, Any], x: float, width: float) -> Band:
    label = str(each["number"] or "")
    ends_well = each["outcome"] in ("confirmed", "undone")
    title = f"{each['step']}: {each['outcome']}, {each['began']:.3f} to {each['ended']:.3f} s"
    return Band(
        x,
        max(width, 1.0),
        "well" if ends_well else "ill",
        label if len(label) * _LETTER + 3 <= width else "",
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
    host = ("host", "host", "the host", (wan, f"runs {daemons}"))
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
