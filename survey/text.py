"""The draft as the text of a site file: its values with where each was seen, and its questions."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from survey.draft import Draft, Question, Value

_WIDTH = 100
_BESIDE = 34
"""Columns: a comment begins no further to the left beside a value."""
_ORDER = ("", "host", "lan", "base", "firewall", "run", "egress", "policy")


def text(draft: Draft, made: Iterable[str]) -> str:
    """`made` are the first lines: which host, when, by what."""
    questions = ordered(draft)
    lines = [*_comment(made), *_head(draft, questions)]
    for table in _tables(draft):
        lines.append("")
        if table:
            lines.append(f"[{table}]")
        for key, value in draft.tables.get(table, {}).items():
            lines += _asked(questions, table, key)
            lines += _entry(key, value)
        known = draft.tables.get(table, {})
        for number, each in questions:
            if each.table == table and each.key not in known:
                lines += _question(number, each)
    return "\n".join(lines) + "\n"


def ordered(draft: Draft) -> list[tuple[int, Question]]:
    """The questions with their numbers, in the order of the file."""
    places = _tables(draft)
    found = sorted(draft.questions, key=lambda each: places.index(each.table))
    return list(enumerate(found, 1))


def _tables(draft: Draft) -> list[str]:
    asked = [each.table for each in draft.questions]
    names = [*dict.fromkeys([*draft.tables, *asked])]
    first = [each for each in _ORDER if each in names]
    jails = [each for each in names if each.startswith("jails.")]
    return [*first, *jails, *(each for each in names if each not in (*first, *jails))]


def _head(draft: Draft, questions: list[tuple[int, Question]]) -> Iterator[str]:
    yield "#"
    if questions:
        yield from _comment([f"{len(questions)} question(s) are left; look for QUESTION below:"])
        for number, each in questions:
            place = f"[{each.table}] {each.key}" if each.table else each.key
            yield from _comment([f"{number}. {place}: {each.what}"], hang="   ")
    else:
        yield "# Nothing is left to ask."
    for title, rows in (
        ("Stays on the host for now, since `check` says this of it:", _left(draft)),
        ("`check` says besides:", draft.told),
        ("Also listens on the host, and stays there:", _strangers(draft)),
        ("Not seen:", draft.unseen),
    ):
        if rows:
            yield "#"
            yield f"# {title}"
            for row in rows:
                yield from _comment([f"- {row}"], hang="  ")


def _left(draft: Draft) -> list[str]:
    return [f"{name}: {why}" for name, reasons in draft.left.items() for why in reasons]


def _strangers(draft: Draft) -> list[str]:
    return [f"{e.daemon}, at {', '.join(e.listens)}: {e.why}" for e in draft.strangers]


def _comment(lines: Iterable[str], hang: str = "") -> Iterator[str]:
    for line in lines:
        for each in textwrap.wrap(
            _harmless(line), _WIDTH - 2, subsequent_indent=hang, break_on_hyphens=False
        ):
            yield f"# {each}"


def _harmless(words: str) -> str:
    """What a host says ends no comment: TOML allows no control characters in one but tabs."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "?", words)


def _asked(questions: list[tuple[int, Question]], table: str, key: str) -> Iterator[str]:
    for number, each in questions:
        if (each.table, each.key) == (table, key):
            yield from _question(number, each)


def _question(number: int, question: Question) -> Iterator[str]:
    yield from _comment([f"QUESTION {number}: {question.what}", question.why])
    yield from (f"# {line}" for line in question.lines)


def _entry(key: str, value: Value) -> list[str]:
    written = f"{key} = {_toml(value.what)}"
    whole = f"{written.ljust(_BESIDE)}  # {_harmless(value.seen)}" if value.seen else written
    if len(whole) <= _WIDTH:
        return [whole]
    above = [*_comment([value.seen])] if value.seen else []
    if len(written) <= _WIDTH or not isinstance(value.what, list):
        return [*above, written]
    rows = [f"{_toml(each)}," for each in value.what]
    if all(isinstance(each, str) for each in value.what):
        rows = _filled(rows)
    return [*above, f"{key} = [", *(f"    {row}" for row in rows), "]"]


def _filled(words: list[str]) -> list[str]:
    rows = [""]
    for word in words:
        if rows[-1] and len(rows[-1]) + 1 + len(word) > _WIDTH - 4:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".lstrip()
    return rows


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(what: Any) -> str:
    if isinstance(what, bool):
        return "true" if what else "false"
    if isinstance(what, list):
        return f"[{', '.join(map(_toml, what))}]"
    if isinstance(what, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_toml(each)}' for key, each in what.items())} }}"
    return json.dumps(what, ensure_ascii=False)
