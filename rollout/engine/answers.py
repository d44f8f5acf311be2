"""The file for `apply --answers`: a commented line for each gate, with its question above it.

Whoever answers takes the # away from that line. Answers that were given are kept when the file is
written anew.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rollout.engine import gates
from rollout.engine.gates import FileAnswer
from rollout.errors import Refused
from rollout.host.journal import operator
from rollout.plan.step import Gate

_WIDTH = 100
_HEAD = (
    "Answers at the gates, for cellblock apply --answers. Take the # away before a line to answer "
    'yes there, in the name that stands in it; "no" instead stops the run at that gate. apply asks '
    "at the gates that stay without an answer. When this file is written anew, answers are kept, "
    "and other changes are not.",
    "The questions are those of the moment at which the file was written; apply looks again.",
)


def write(path: Path, asked: Iterable[tuple[str, Gate]]) -> list[str]:
    """Write the file, with a line for each of these steps and their gates. Returns those steps
    whose gates have no answer in it yet.

    Raises Refused for a file that is there and cannot be read as answers, and leaves it as it is.
    """
    wanted = dict(asked)
    given = gates.given(path) if path.exists() or path.is_symlink() else {}
    half = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        half.write_text(text(wanted, given), encoding="utf-8")
        half.replace(path)
    except OSError as error:
        raise Refused(
            f"{path}: the answers cannot be written there: {error.strerror}",
            todo="name a file in a directory in which you may create files",
        ) from None
    return [name for name in wanted if name not in given]


def text(wanted: Mapping[str, Gate], given: Mapping[str, FileAnswer]) -> str:
    """The file's text."""
    lines = list(_comment(_HEAD))
    for name, gate in wanted.items():
        lines += ["", *_comment([f"{name}: {gate.question}"])]
        lines += _comment((row for each in gate.look_at for row in each.splitlines()), "  - ")
        found = given.get(name)
        if found is None:
            lines.append(f"#{_line(name, FileAnswer(answer='yes', by=operator()))}")
        else:
            lines.append(_line(name, found))
    others = {name: each for name, each in given.items() if name not in wanted}
    if others:
        lines += ["", *_comment(["Given before; these gates are not ahead now:"])]
        lines += [_line(name, each) for name, each in others.items()]
    if not wanted and not others:
        lines += ["", "# No gate needs an answer."]
    return "\n".join(lines) + "\n"


def _line(name: str, answer: FileAnswer) -> str:
    """As mysql.cutover = { answer = "yes", by = "anna on desk" }"""
    by = json.dumps(answer.by, ensure_ascii=False)
    at = f", at = {answer.at.isoformat()}" if answer.at else ""
    return f'{name} = {{ answer = "{answer.answer}", by = {by}{at} }}'


def _comment(rows: Iterable[str], mark: str = "") -> Iterator[str]:
    """What a host says ends no comment: TOML allows no control characters in one but tabs."""
    for row in rows:
        plain = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "?", row)
        hang = " " * len(mark)
        for line in textwrap.wrap(
            f"{mark}{plain}", _WIDTH - 2, subsequent_indent=hang, break_on_hyphens=False
        ):
            yield f"# {line}"
