"""Whether a named looks up any name for an address of its own machine, as named.conf says it."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from tests.checks.named_conf import refusing, statements

JAIL = IPv4Address("10.80.0.4")
SAID = {
    "options { recursion yes; };": None,
    "options { recursion no; };": "recursion",
    "options { allow-recursion { 127.0.0.1/32; 203.0.113.2/32; }; };": "allow-recursion",
    "options { allow-recursion { 10.80.0.0/24; }; };": None,
    "options { allow-recursion { localnets; }; };": None,
    "options { allow-recursion { !10.80.0.4; any; }; };": "allow-recursion",
    "options { allow-recursion { ! { 10.80.0.4; }; any; }; };": "allow-recursion",
    "options { allow-recursion { any; }; allow-query-cache { none; }; };": "allow-query-cache",
    'acl "ours" { 127.0.0.1/32; }; options { allow-query { "ours"; }; };': "allow-query",
    'acl "ours" { 10.80.0.0/16; }; options { allow-query { "ours"; }; };': None,
    'options { allow-recursion { key "k"; }; };': "allow-recursion",
    'view "in" { match-clients { 127.0.0.1/32; }; recursion yes; }; '
    'view "out" { match-clients { any; }; recursion no; };': "recursion",
    'view "in" { match-clients { 127.0.0.1/32; }; };': "match-clients",
    'options { recursion no; }; view "all" { recursion yes; };': None,
}


@pytest.mark.parametrize(("text", "by"), SAID.items(), ids=SAID)
def test_a_named_refuses_by_the_first_list_that_lacks_the_client(text: str, by: str | None) -> None:
    assert refusing(statements(text), JAIL) == by
