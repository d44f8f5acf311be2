"""Whether a named looks up any name for an address of its own machine, as named.conf says it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from rollout import site
from tests.checks.named_access import Access, Means, differences, refusing
from tests.checks.named_conf import CONF, Path, included, paths, statements
from tests.rehearsal.sites import SAMPLE

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


# As named-checkconf -px of BIND 9.18.49 prints it.
NAMING = """\
logging {
\tchannel "c" {
\t\tfile "/var/log/named/x.log" versions 3 size 5242880;
\t};
};
options {
\tdirectory "/n/working";
\tdump-file "/var/dump/d.db";
\tlisten-on port 853 tls "t" {
\t\t"any";
\t};
\tkey-directory "keys";
};
tls "t" {
\tkey-file "/usr/local/etc/x.key";
};
view "v" {
\tzone "." {
\t\ttype hint;
\t\tfile "../root";
\t};
\tzone "a" {
\t\ttype primary;
\t\tfile "/n/primary/a";
\t\tjournal "/n/a.jnl";
\t};
\tzone "sec" {
\t\ttype secondary;
\t\tfile "sec";
\t};
};
dlz "x" {
\tdatabase "dlopen /usr/local/lib/x.so /etc/y";
};
"""


def test_what_it_names_has_its_path_and_who_writes_it() -> None:
    assert list(paths(statements(NAMING))) == [
        Path("/var/log/named/x.log", "file", written=True),
        Path("/var/dump/d.db", "dump-file", written=True),
        Path("/n/working/keys", "key-directory", written=True),
        Path("/usr/local/etc/x.key", "key-file", written=False),
        Path("/n/root", "file", written=False),
        Path("/n/primary/a", "file", written=False, zone="a"),
        Path("/n/a.jnl", "journal", written=True),
        Path("/n/working/sec", "file", written=True),
        Path("/usr/local/lib/x.so", "database", written=False),
        Path("/etc/y", "database", written=False),
    ]


OWN = (IPv4Network("203.0.113.2/32"), IPv4Network("127.0.0.1/32"))
NETS = (IPv4Network("203.0.113.0/24"), IPv4Network("127.0.0.0/8"))
LAN = IPv4Network("10.80.0.0/24")
HERE = Means(OWN, NETS)
THERE = Means((*OWN, LAN), (*NETS, LAN), LAN, IPv4Address("203.0.113.2"))
OTHERWISE = {
    "options { recursion yes; };": [],
    "options { allow-recursion { localnets; }; };": [],
    "options { allow-recursion { 127.0.0.1/32; 203.0.113.2/32; }; };": [],
    "options { allow-transfer { 203.0.113.2/32; 198.51.100.0/24; }; };": [],
    "options { allow-recursion { !10.80.0.4/32; any; }; };": ["allow-recursion"],
    "options { blackhole { 10.0.0.0/8; }; };": ["blackhole"],
    'acl "own" { 203.0.113.2/32; }; options { allow-recursion { "own"; }; };': [],
    'view "vpn" { match-clients { 10.0.0.0/8; }; }; view "all" { };': ["match-clients"],
    'view "in" { match-clients { 127.0.0.0/8; }; }; view "out" { };': [],
}


@pytest.mark.parametrize(("text", "by"), OTHERWISE.items(), ids=OTHERWISE)
def test_what_clients_would_lose_or_gain_is_found(text: str, by: list[str]) -> None:
    tree = statements(text)
    found = differences(Access(tree, HERE), Access(tree, THERE), site.read(SAMPLE), "")
    assert sorted(found) == by


def test_a_list_that_is_left_as_it_is_lets_in_fewer_in_the_jail() -> None:
    tree = statements("options { allow-transfer { localnets; }; };")
    jail = IPv4Network("10.80.0.2/32")
    found = differences(
        Access(tree, HERE), Access(tree, Means((jail,), (jail,))), site.read(SAMPLE), ""
    )
    assert "allow-transfer" in found


def test_what_is_included_by_files_that_are_read() -> None:
    rows = [
        f'{CONF}:3:include "/usr/local/etc/namedb/a.inc";',
        f'{CONF}:4:# include "/never";',
        '/usr/local/etc/namedb/a.inc:1:  include "/etc/b";',
        '/usr/local/etc/namedb/named.conf.bak:1:include "/etc/old";',
    ]
    assert [path for _, path in included(rows)] == ["/usr/local/etc/namedb/a.inc", "/etc/b"]


def test_programs_of_jails_ask_as_resolv_conf_has_it() -> None:
    tree = statements('acl "o" { 203.0.113.2/32; }; options { allow-recursion { "o"; }; };')
    here, there, sample = Access(tree, HERE), Access(tree, THERE), site.read(SAMPLE)
    found = differences(here, there, sample, "nameserver 203.0.113.2\n")
    assert list(found) == ["allow-recursion"]
