"""named.conf as `named-checkconf -p` prints it: with all semicolons, and strings in quotes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Statement = list[Any]
"""Words, and blocks: a block is a list of statements."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{};]|[^\s{};"]+')


def statements(text: str) -> list[Statement]:
    return _block(_TOKEN.findall(text), 0)[0]


def _block(tokens: list[str], at: int) -> tuple[list[Statement], int]:
    """Statements up to the brace that ends the block; a block in one is a list."""
    found: list[Statement] = []
    words: list[Any] = []
    while at < len(tokens) and tokens[at] != "}":
        if tokens[at] == "{":
            inner, at = _block(tokens, at + 1)
            words.append(inner)
        elif tokens[at] == ";":
            if words:
                found.append(words)
            words = []
        else:
            words.append(tokens[at])
        at += 1
    return found, at


def place(rows: Sequence[str], word: str) -> str:
    """FILE:LINE of the first line with this pattern, among those that grep -n has printed."""
    wanted = re.compile(rf"^([^:]+:\d+):(?!\s*(?://|#)).*{word}")
    return next((found[1] for row in rows if (found := wanted.match(row))), "named-checkconf -px")


CONF = "/usr/local/etc/namedb/named.conf"
_INCLUDE = re.compile(r'([^:]+):(\d+):\s*include\s+"([^"]+)"')


def included(rows: Sequence[str]) -> list[tuple[str, str]]:
    """The files that named.conf includes, itself or through others: each with FILE:LINE, and path.

    `rows` are those of grep -n. Files that lie beside it and are not read may include others.
    """
    found = [match.groups() for match in map(_INCLUDE.match, rows) if match]
    read, more = {CONF}, True
    while more:
        new = {path for file, _, path in found if file in read} - read
        read, more = read | new, bool(new)
    return [(f"{file}:{line}", path) for file, line, path in found if file in read]


class Path(NamedTuple):
    """`word` names it; `zone` is the zone whose file it is, if it is one that people edit."""

    path: str
    word: str
    written: bool
    zone: str = ""


_WRITTEN = (
    *("journal", "key-directory", "managed-keys-directory", "new-zones-directory", "lock-file"),
    *("dump-file", "statistics-file", "memstatistics-file", "recursing-file", "secroots-file"),
    *("pid-file", "session-keyfile"),
)
_READ = (
    *("cert-file", "key-file", "ca-file", "dhparam-file", "bindkeys-file", "geoip-directory"),
    *("tkey-gssapi-keytab", "database"),
)
_BY_NAMED = ("secondary", "slave", "mirror", "stub")
_OTHERS = ("hint", "redirect")


def paths(tree: Sequence[Statement]) -> Iterator[Path]:
    """The files and directories that a named.conf names, with absolute paths.

    A relative one is below `directory` (bin/named/server.c goes there).
    """
    found = list(_paths(tree, ""))
    home = working_directory(tree)
    for each in found:
        yield each._replace(path=posixpath.normpath(posixpath.join(home, each.path)))


def working_directory(tree: Sequence[Statement]) -> str:
    options = [inside for one in tree if one[0] == "options" for inside in one[-1]]
    return next((str(one[1]).strip('"') for one in options if one[0] == "directory"), "/")


def _paths(tree: Sequence[Statement], inside: str) -> Iterator[Path]:
    for one in tree:
        word, blocks = str(one[0]), [each for each in one if isinstance(each, list)]
        values = [str(each).strip('"') for each in one[1:] if not isinstance(each, list)]
        if word == "zone" and blocks:
            yield from _zones_paths(values[0], blocks[0])
        elif word == "file" and inside == "channel":
            yield Path(values[0], "file", written=True)
        elif word == "dnstap-output":
            yield Path(values[1], word, written=True)
        elif word in (*_WRITTEN, *_READ):
            names = " ".join(values).split() if word == "database" else values[:1]
            yield from (
                Path(each, word, word in _WRITTEN)
                for each in names
                if each not in ("none", "") and (word != "database" or each.startswith("/"))
            )
        elif word == "plugin" and values[1:2] and values[1].startswith("/"):
            yield Path(values[1], word, written=False)
        for block in blocks if word != "zone" else ():
            yield from _paths(block, word)


def _zones_paths(zone: str, block: Sequence[Statement]) -> Iterator[Path]:
    said = {str(one[0]): [str(word).strip('"') for word in one[1:]] for one in block}
    kind = (said.get("type") or [""])[0]
    if file := said.get("file"):
        written = kind in _BY_NAMED
        yield Path(file[0], "file", written, "" if written or kind in _OTHERS else zone)
    yield from (each for each in _paths(block, "zone") if each.word != "file")


def value(statement: Statement) -> str:
    """Its first word, or that of its list."""
    word = statement[1] if len(statement) > 1 else ""
    if isinstance(word, list):
        word = word[0][0] if word else ""
    return str(word).strip('"')
