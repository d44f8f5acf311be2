"""Draws a host: its number gives the services that move, and the ingredients of its case."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from shlex import quote
from typing import Any

from tests.cases.case import Case, merged
from tests.hosts import of_network, of_services
from tests.hosts.ingredient import PUBLIC, SERVICES, Ingredient, Piece
from tests.hosts.of_network import BLOCKED

INGREDIENTS = (*of_network.INGREDIENTS, *of_services.INGREDIENTS)
MOST = 5  # ingredients of one host
ASKED: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "bind": (
        {"port": 53, "proto": "udp"},
        {"port": 53},
        {"sh": f"host -t SOA example.org {PUBLIC}; host -t A www.example.org {PUBLIC}"},
    ),
    "mysql": (
        {"port": 3306, "address": "127.0.0.1", "from": "host"},
        {"sql": "SELECT COUNT(*) FROM rows"},
    ),
    "web": ({"port": 80},),
    "mail": ({"port": 25},),
}
PAGES = (("www.example.org", "/"), ("shop.example.org", "/"), ("www.example.org", "/~user002/"))
"""Virtual host and path."""
RECIPIENTS = ("user001@example.org", "nobody.there@example.org", "ann@example.net")
HOW_MANY = (*[1] * 32, *[2] * 6, 3, 4)
"""Services that move: of 2,000 hosts some 1,600 have one, 300 two, 50 three, and 50 all four."""


@dataclass(frozen=True)
class Drawn:
    """A host: its number, the services that move, its ingredients by name."""

    seed: int
    base: str
    order: tuple[str, ...]
    pieces: Mapping[str, Piece]

    @property
    def case(self) -> Case:
        return Case.model_validate(self.as_dict())

    @property
    def words(self) -> dict[str, str]:
        """Ingredient -> the pattern that a refusal matches which names it."""
        return {name: piece.words for name, piece in self.pieces.items()}

    def without(self, dropped: str) -> Drawn:
        """The same host without an ingredient, or with that service staying where it is."""
        return Drawn(
            self.seed,
            self.base,
            tuple(each for each in self.order if each != dropped),
            {name: piece for name, piece in self.pieces.items() if name != dropped},
        )

    def as_dict(self) -> dict[str, Any]:
        site: dict[str, Any] = {}
        append: dict[str, str] = {}
        found: dict[str, dict[str, str]] = {"files": {}, "links": {}}
        before: list[str] = []
        asked: list[Mapping[str, Any]] = []
        for service in self.order:
            asked += ({"address": PUBLIC, **each} for each in ASKED[service])
        moving = {"", *self.order}
        if "mail" in moving and self.base == "sample":
            moving.add("sendmail")
        made = self.pieces.values()
        for piece in made:
            site = merged(site, piece.site)
            found["files"] |= piece.files
            found["links"] |= piece.links
            before += piece.before
            for path, text in piece.append.items():
                append[path] = f"{append[path]}\n{text}" if path in append else text
            asked += (question for service, question in piece.ask if service in moving)
        if "web" in moving:
            asked.append({"sh": _gets([*PAGES, *(page for each in made for page in each.pages)])})
        if "mail" in moving:
            asked.append({"sh": _rcpts()})
        # What the site file closes to others a gate tells, and nobody asks.
        ports = [
            port for each in site.get("services", {}).values() for port in each.get("ports", ())
        ]
        closed = [port["port"] for port in ports if not port.get("public", True)]
        asked = [e for e in asked if e.get("from") != BLOCKED or e["port"] not in closed]
        return {
            "what": f"drawn: seed {self.seed}: {', '.join(self.pieces) or 'nothing'}",
            "base": self.base,
            "order": [*(each for piece in made for each in piece.moves), *self.order],
            "before": before,
            "ask": asked,
            "site": site,
            "append": append,
            **found,
        }

    def as_file(self) -> str:
        """The host as a case file, which can be kept and played by itself."""
        filled = {key: value for key, value in self.as_dict().items() if value}
        return "".join(f"{key} = {_toml(value)}\n" for key, value in filled.items())


def drawn(seed: int, only: str = "") -> Drawn:
    """The host of a seed; `only`: with this ingredient in any case.

    Each ingredient rolls dice of its own, so that it stays the same when others are taken away.
    """
    dice = Random(f"host {seed}")
    kept = [each for each in INGREDIENTS if each.name == only]
    many = dice.choice(HOW_MANY)
    moving = set(dice.sample(SERVICES, many))
    if kept and not moving & set(kept[0].about):
        moving.add(dice.choice(kept[0].about))
    base = kept[0].base if kept and kept[0].base else dice.choice(("sample", "sample", "postfix"))
    chosen = list(kept)
    for each in dice.sample(INGREDIENTS, len(INGREDIENTS)):
        if len(chosen) >= dice.randint(1, MOST):
            break
        if _fits(each, moving, base, chosen):
            chosen.append(each)
    pieces = {each.name: each.made(Random(f"{each.name} {seed}")) for each in chosen}
    return Drawn(seed, base, tuple(each for each in SERVICES if each in moving), pieces)


def _fits(
    one: Ingredient, moving: Collection[str], base: str, chosen: Collection[Ingredient]
) -> bool:
    if one.base not in ("", base) or not set(one.about) & set(moving) or one in chosen:
        return False
    return not one.kind or one.kind not in {each.kind for each in chosen}


def _gets(pages: Sequence[tuple[str, str]]) -> str:
    """sh that asks Apache for pages over one connection."""
    words = " ".join(quote(word) for name, path in pages for word in (path, name))
    asked = "GET %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n"
    return f"printf '{asked}' {words} | nc -w 10 {PUBLIC} 80"


def _rcpts() -> str:
    """sh that asks the mail server for recipients; no message is sent."""
    lines = ["EHLO localhost", "MAIL FROM:<>", *(f"RCPT TO:<{each}>" for each in RECIPIENTS)]
    words = " ".join(map(quote, [*lines, "RSET", "QUIT"]))
    return f"printf '%s\\r\\n' {words} | nc -w 10 {PUBLIC} 25"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return json.dumps(value, ensure_ascii=False)


__all__ = ["INGREDIENTS", "Drawn", "drawn"]
