"""Generators of the random input: mutations of the sample site file, and lines of host output."""

from __future__ import annotations

import copy
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from rollout.site.model import Probe

PROJECT = Path(__file__).parents[2]
SAMPLE = (PROJECT / "site.example.toml").read_text(encoding="utf-8")
TABLES = tomllib.loads(SAMPLE)

EXAMPLES = int(os.environ.get("CELLBLOCK_FUZZ", "25"))
"""How many inputs each test tries; CELLBLOCK_FUZZ=5000 takes an hour."""

tried = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

WORDS = st.sampled_from(
    [
        *("", " ", "-", "--", "~nobody-there/x", "/", "/etc", "/..", "//", "a b", "0", "-1", "any"),
        *("host", "internet", "operator", "bind", "mysql", "web", "mail", "preflight", "base"),
        *("network", "policy", "egress", "traffic", "mysql_by_name", "mysql_quota", "accounts"),
        *("10.80.0.2", "10.80.0.300", "10.80.0.0/33", "203.0.113.2", "0.0.0.0/0", "::1", "1e400"),
        *("53/udp", "0/tcp", "53/", "/udp", "²/tcp", "sendmail", "postfix", "dovecot", "tree"),
        *("nat", "none", "public", "pkg", "shared", "http", "dns", "fpm", "suphp", "lo1", "lo"),
        *("\x00", "a\nb", "'; reboot #", "$(reboot)", '"', "\\", "ü", "\u2028", "x" * 300),
        *("-oProxyCommand=x", "%d", "{0}", "{{ x }}", "*", "..", ".", "#", "=== fact 0"),
    ]
)
SCALARS: st.SearchStrategy[Any] = st.one_of(
    WORDS,
    st.text(max_size=20),
    st.integers(),
    st.integers(-2, 70000),
    st.sampled_from([32, 1000, 20000]).map(lambda bits: 2**bits),  # nobody can print the last one
    st.booleans(),
    st.floats(allow_nan=True),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(WORDS, st.text(max_size=8)), inner, max_size=3),
    ),
    max_leaves=6,
)


def written(value: Any) -> str:
    """A value as TOML, with tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(k)} = {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    return hex(value) if value > 2**64 else str(value)


def _quoted(text: str) -> str:
    return json.dumps(text.encode(errors="replace").decode()).replace("\x7f", "\\u007f")


def document(tables: dict[str, Any]) -> str:
    return "".join(f"{_quoted(key)} = {written(value)}\n" for key, value in tables.items())


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, below in inner:
        yield (*at, key)
        yield from _places(below, (*at, key))


PLACES = list(_places(TABLES))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The sample with a few of its values replaced, removed, doubled or joined by others."""
    tables = copy.deepcopy(TABLES)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(PLACES))
        try:
            parent: Any = tables
            for key in above:
                parent = parent[key]
            how = draw(st.sampled_from(["replace", "word", "remove", "add", "copy"]))
            if how == "remove":
                del parent[last]
            elif how == "add" and isinstance(parent, dict):
                parent[draw(WORDS)] = draw(VALUES)
            elif how == "copy":
                parent[last] = copy.deepcopy(draw(st.sampled_from(_all(tables))))
            else:
                parent[last] = draw(WORDS if how == "word" else VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation removed its place
    return document(tables)


SUBJECTS = sorted({*TABLES["order"], "mysql_by_name", "mysql_quota"})
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "address": st.sampled_from(["10.80.0.9", "10.80.0.2", "203.0.113.2", "10.80.0.0"]),
    "network": st.sampled_from(["10.80.0.0/24", "10.80.0.0/30", "10.0.0.0/8", "203.0.113.0/24"]),
    "services": st.lists(st.sampled_from(list(TABLES["services"])), max_size=3),
    "software": st.sampled_from(["shared", "pkg"]),
    "outbound": st.sampled_from(["none", "nat", "public"]),
    "public_addresses": st.just(["203.0.113.9"]),
    "rc": st.sampled_from(["named", "sendmail", "postfix", "dovecot", "apache24"]),
    "handler": st.sampled_from(["fpm", "suexec", "suphp"]),
    "uids": st.lists(st.integers(-1, 70000), min_size=2, max_size=2),
    "mounts": st.lists(
        st.builds(
            lambda source, writable: {"source": source, "writable": writable},
            st.sampled_from(["/usr/home", "/usr/jails/mysql/root/tmp", "/", "/etc"]),
            st.booleans(),
        ),
        max_size=2,
    ),
    "ports": st.lists(
        st.builds(
            lambda port, proto, public, probe: {
                "port": port,
                "proto": proto,
                "public": public,
                "probe": probe,
            },
            st.integers(1, 99),
            st.sampled_from(["tcp", "udp"]),
            st.booleans(),
            st.sampled_from(get_args(Probe)),
        ),
        min_size=1,
        max_size=3,
    ),
    "first_rule": st.integers(1, 60000),
    "first_set": st.integers(1, 20),
}
"""Values that a site file may have, though not all of them together."""


@st.composite
def likely(draw: st.DrawFn) -> str:
    """The sample with other values of the right kind, so that most of them reach the steps."""
    tables = copy.deepcopy(TABLES)
    if draw(st.booleans()):
        tables["order"] = draw(st.lists(st.sampled_from(SUBJECTS), min_size=1, unique=True))
        if draw(st.booleans()):
            tables["order"].sort(key=[*TABLES["order"], *SUBJECTS].index)
    for table in draw(st.lists(st.sampled_from(["jails", "services"]), max_size=1)):
        if draw(st.integers(0, 3)) == 0:
            del tables[table][draw(st.sampled_from(list(tables[table])))]
    holders = [
        *tables["jails"].values(),
        *tables["services"].values(),
        *(tables[name] for name in ("lan", "firewall", "accounts")),
    ]
    for _ in range(draw(st.integers(0, 4))):
        holder = draw(st.sampled_from(holders))
        keys = [key for key in LIKELY if key in holder] or ["handler"]
        key = draw(st.sampled_from(keys))
        holder[key] = draw(LIKELY[key])
    return document(tables)


def _all(tables: dict[str, Any]) -> list[Any]:
    found = []
    for place in _places(tables):
        value: Any = tables
        for key in place:
            value = value[key]
        found.append(value)
    return found


@st.composite
def scratched(draw: st.DrawFn) -> bytes:
    """The sample's text with bytes lost, doubled or changed."""
    text = bytearray(SAMPLE.encode())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text) - 1))
        length = draw(st.integers(0, 40))
        text[at : at + length] = draw(st.one_of(st.binary(max_size=10), st.just(text[:length])))
    return bytes(text)


NAMES = [f"{n:03}-{name}" for n, name in enumerate(TABLES["order"], 1)]
DIRECTORIES = st.sampled_from([*NAMES * 2, "lost+found", "", "*", "x-y", "²²²-a"])
STATES = st.sampled_from(
    [
        *["prepared", "applying", "applied", "confirmed", "undoing", "undone", "stuck"] * 4,
        *("*", "", "odd"),
    ]
)
_NUMBERS = st.one_of(st.integers(-(10**30), 10**30).map(str), WORDS)
JOURNAL_LINES = st.one_of(
    st.builds("state {} {} {}".format, DIRECTORIES, STATES, WORDS),
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["reason", "stuck", "left", "token", "site", "step"]),
        DIRECTORIES,
        _NUMBERS,
    ),
    st.builds("{} {}".format, st.sampled_from(["locked", "abandoned", "site"]), _NUMBERS),
    st.sampled_from(["site dcserver 0123456789abcdef", "site other 00"]),
    st.text(max_size=30),
)
HOST_LINES = st.one_of(
    st.builds("=== fact {}".format, st.one_of(st.integers(-1, 30).map(str), WORDS)),
    st.builds("inet {} netmask 0x{}".format, WORDS, st.sampled_from(["ffffff00", "ff00ff00", "1"])),
    st.builds("\tinet{}".format, WORDS),
    st.builds("{}: flags=8049<UP> mtu 1500".format, WORDS),
    st.builds('{}="{}"'.format, st.sampled_from(["ifconfig_lo1", "jail_list", "x"]), WORDS),
    st.sampled_from(['ifconfig_lo1="inet "', 'ifconfig_lo1_alias0="inet "', 'jail_enable="']),
    st.builds("{} {} {}".format, st.sampled_from(["file", "link", "directory"]), WORDS, WORDS),
    st.builds("{} set {} {}".format, st.integers(0, 10**9), st.integers(0, 99), WORDS),
    st.builds("ipfw nat {} config {}".format, st.integers(0, 10**9), WORDS),
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["localhost", "open", "setuid", "odd", "account", "mended"]),
        _NUMBERS,
        WORDS,
    ),
    st.builds("00050 {0} {0} count ip from any to any // {1} sent".format, _NUMBERS, WORDS),
    st.builds(
        "{} {} {} {}".format,
        st.sampled_from(["changed", "owns", "file", "at"]),
        DIRECTORIES,
        st.sampled_from(["+", "-", "1", "99999999999999999999", "/"]),
        st.one_of(WORDS, st.just("/etc/x"), st.just("path /x Directory 755 a:b")),
    ),
    JOURNAL_LINES,
    st.text(max_size=30),
)


def spoken(lines: st.SearchStrategy[str], most: int = 25) -> st.SearchStrategy[str]:
    return st.lists(lines, max_size=most).map("\n".join)
