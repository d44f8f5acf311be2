"""named.conf as `named-checkconf -p` prints it: with all semicolons, and strings in quotes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, ip_network
from typing import Any

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


def refusing(tree: Sequence[Statement], client: IPv4Address) -> str | None:
    """The statement by which a named does not look up any name for a client; None if it does.

    `client` is an address of the named's own machine, and so within its default, localnets. Of
    views, the first whose match-clients has the client counts.
    """
    acls = {_bare(one[1]): one[2] for one in tree if one[0] == "acl" and len(one) == 3}
    options = [inside for one in tree if one[0] == "options" for inside in one[-1]]
    views = [one[-1] for one in tree if one[0] == "view"]
    fits = [each for each in views if _has(_list(each, "match-clients"), client, acls)]
    if views and not fits:
        return "match-clients"
    said = {one[0]: one for one in (*options, *(fits[0] if fits else []))}
    if [_bare(str(word)) for word in said.get("recursion", [])[1:]] in (["no"], ["false"], ["0"]):
        return "recursion"
    lists = ("allow-recursion", "allow-query-cache", "allow-query")
    wrong = (name for name in lists if name in said and not _has(said[name][-1], client, acls))
    return next(wrong, None)


def _list(block: Sequence[Statement], name: str) -> list[Statement]:
    return next((one[-1] for one in block if one[0] == name), [["any"]])


def _bare(word: str) -> str:
    return word.strip('"').lower()


def _has(
    elements: Sequence[Statement], client: IPv4Address, acls: Mapping[str, list[Statement]]
) -> bool:
    """The first element that fits counts, with ! against the client."""
    for one in elements:
        words = list(one)
        refused = isinstance(words[0], str) and words[0].startswith("!")
        if refused:
            words = [words[0][1:], *words[1:]] if words[0] != "!" else words[1:]
        if _fits(words[0], client, acls):
            return not refused
    return False


def _fits(element: Any, client: IPv4Address, acls: Mapping[str, list[Statement]]) -> bool:
    if isinstance(element, list):
        return _has(element, client, acls)
    word = _bare(element)
    if word in ("any", "localhost", "localnets") or word in acls:
        return word not in acls or _has(acls[word], client, acls)
    try:
        return client in ip_network(word, strict=False)
    except ValueError:  # none, a key, geoip
        return False
