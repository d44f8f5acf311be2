"""BIND: whether two nameds may have its zones open at a time, and who may ask it for any name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rollout.site import Site

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{};]|[^\s{};"]+')
_WRITTEN = ("secondary", "slave", "mirror", "stub")
_OFF = ("none", "no", "false", "0", "off", "insecure", "")


def test_zones_may_be_open_twice(host: Any, site: Site, service: str) -> None:
    """From bind.standby to bind.retire two nameds run, and both would write such zones' files."""
    printed = host.run("named-checkconf -px")
    # A wrong configuration is told by configuration_is_valid, in named's own words.
    assert printed.rc == 0 or site.services[service].configtest, (
        f"named-checkconf -px fails: {printed.stderr.strip() or printed.stdout.strip()}"
    )
    said = list(_written(printed.stdout))
    places = " ".join(site.services[service].configuration)
    rows = host.run(f"grep -rnE 'zone|{'|'.join(_EVERYWHERE)}' {places}").stdout.splitlines()
    told = [f"{_place(rows, word)}: {what}" for word, what in said]
    assert not told, (
        f"{'; '.join(told[:10])}{f'; and {len(told) - 10} more' * (len(told) > 10)}: a named "
        f"writes such zones itself, and two must not do so: set services.{service}.overlap = "
        "false, and the host's named stops before the jail's starts"
    )


_EVERYWHERE = ("allow-new-zones", "catalog-zones", "dnssec-policy", "allow-update", "update-policy")


def _place(rows: list[str], word: str) -> str:
    wanted = re.compile(rf"^([^:]+:\d+):(?!\s*(?://|#)).*{word}")
    return next((found[1] for row in rows if (found := wanted.match(row))), "named-checkconf -px")


def _written(text: str) -> Iterator[tuple[str, str]]:
    """What a named writes itself: a pattern of the line that says it, and words for it.

    `text` is what named-checkconf -p prints: statements end with a semicolon, strings are quoted.
    """
    tree, _ = _block(_TOKEN.findall(text), 0)
    views = [(one[1:], one) for one in tree if one[0] in ("view", "options")]
    inherited = [each for _, one in views for each in _in(one)]
    for name in ("allow-new-zones", "catalog-zones"):
        for one in inherited:
            if one[0] == name and _value(one) not in _OFF:
                yield name, f"{name}: named keeps a list of zones of its own"
    zones = [one for one in tree if one[0] == "zone"]
    zones += [each for one in tree if one[0] == "view" for each in _in(one) if each[0] == "zone"]
    for zone in zones:
        why = _why(list(_in(zone)), inherited)
        if why:
            name = str(zone[1]).strip('"')
            yield rf'zone\s+"?{re.escape(name)}[".\s]', f'zone "{name}" {why}'


def _why(own: list[list[Any]], inherited: list[list[Any]]) -> str:
    has = {one[0]: one for one in inherited if one[0] in _EVERYWHERE} | {one[0]: one for one in own}
    kind = _value(has.get("type", []))
    if kind in _WRITTEN:
        return f"is {kind}"
    if kind not in ("primary", "master"):
        return ""
    for name in ("update-policy", "allow-update"):
        if name in has and _value(has[name]) not in _OFF:
            return f"takes dynamic updates ({name})"
    for name in ("dnssec-policy", "inline-signing", "auto-dnssec"):
        if name in has and _value(has[name]) not in _OFF:
            return f"is signed by named ({name})"
    return ""


def _value(statement: list[Any]) -> str:
    """Its first word, or that of its list."""
    word = statement[1] if len(statement) > 1 else ""
    if isinstance(word, list):
        word = word[0][0] if word else ""
    return str(word).strip('"')


def _in(statement: list[Any]) -> list[list[Any]]:
    return next((word for word in statement if isinstance(word, list)), [])


def _block(tokens: list[str], at: int) -> tuple[list[list[Any]], int]:
    """Statements up to the brace that ends the block; a block in one is a list."""
    found: list[list[Any]] = []
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
