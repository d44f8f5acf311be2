"""What named-checkconf -px says of zones that a named writes itself."""

from __future__ import annotations

import pytest

from tests.checks.named_conf import statements
from tests.checks.test_bind import _OWN, _asked_at, _lists
from tests.checks.test_named import _written

# As named-checkconf -px of BIND 9.18.49 prints it.
PRINTED = """\
options {
\tdirectory "/tmp/dt/w";
\tlisten-on port 5353 {
\t\t127.0.0.1/32;
\t};
\tallow-transfer  {
\t\t127.0.0.1/32;
\t};
};
key "k" {
\talgorithm "hmac-sha256";
\tsecret "????????????????????????????????????????";
};
"""
PLAIN = 'zone "example.org" {\n\ttype primary;\n\tfile "example.org.db";\n};\n'
DYNAMIC = PLAIN.replace("};", "\tallow-update {\n\t\t127.0.0.1/32;\n\t};\n};")
NONE = PLAIN.replace("};", '\tallow-update {\n\t\t"none";\n\t};\n};')
LOCAL = PLAIN.replace("};", "\tupdate-policy local;\n};")
SIGNED = PLAIN.replace("};", '\tinline-signing yes;\n\tdnssec-policy "default";\n};')
SECONDARY = (
    'zone "s.org" {\n\ttype secondary;\n\tfile "s";\n\tprimaries {\n\t\t192.0.2.1;\n\t};\n};\n'
)
IN_VIEW = 'view "outside" {\n\tzone "example.org" {\n\t\tin-view "inside";\n\t};\n};\n'
HINT = 'zone "." {\n\ttype hint;\n\tfile "root";\n};\n'
FOR_ALL = 'options {\n\tdnssec-policy "default";\n};\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PLAIN + NONE + IN_VIEW + HINT, []),
        (DYNAMIC, ['zone "example.org" takes dynamic updates (allow-update)']),
        (LOCAL, ['zone "example.org" takes dynamic updates (update-policy)']),
        (SIGNED, ['zone "example.org" is signed by named (dnssec-policy)']),
        (SECONDARY, ['zone "s.org" is secondary']),
        (FOR_ALL + PLAIN, ['zone "example.org" is signed by named (dnssec-policy)']),
        (
            f'view "inside" {{\n{DYNAMIC}}};\n',
            ['zone "example.org" takes dynamic updates (allow-update)'],
        ),
        (
            "options {\n\tallow-new-zones yes;\n};\n",
            ["allow-new-zones: named keeps a list of zones of its own"],
        ),
    ],
)
def test_a_zone_that_named_writes_is_found(text: str, told: list[str]) -> None:
    assert [what for _, what in _written(PRINTED + text)] == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("options {\n\tforwarders  {\n\t\t192.0.2.1;\n\t};\n};\n", []),
        (
            "options {\n\tforwarders  {\n\t\t127.0.0.1 port 5353;\n\t\t::1;\n\t};\n};\n",
            [("forwarders", "127.0.0.1"), ("forwarders", "::1")],
        ),
        (SECONDARY.replace("192.0.2.1", "127.0.0.2"), [("primaries", "127.0.0.2")]),
        (
            'primaries "hidden" {\n\t127.0.0.1 port 5300 key "k";\n};\n',
            [("primaries", "127.0.0.1")],
        ),
    ],
)
def test_a_server_at_localhost_is_found(text: str, told: list[tuple[str, str]]) -> None:
    # Of the same program: a statement in a line, each element of its block in another.
    tree = statements(PRINTED + text)
    assert [(name, words[0]) for name, words in _asked_at(tree, _OWN)] == told


def test_a_list_that_has_ipv6_alone_is_found() -> None:
    """Of one with both, named takes those that it reaches; a list of others is not known."""
    text = (
        "options {\n\tforwarders {\n\t\t2001:db8::53;\n\t\t192.0.2.53;\n\t};\n};\n"
        'zone "a" {\n\talso-notify port 54 {\n\t\t2001:db8::1 key "k";\n\t};\n'
        '\tprimaries {\n\t\t"those";\n\t\t2001:db8::2;\n\t};\n};\n'
    )
    assert list(_lists(statements(text))) == [
        ("forwarders", ["2001:db8::53", "192.0.2.53"]),
        ("also-notify", ["2001:db8::1"]),
    ]
