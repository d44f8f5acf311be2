"""Findings as text and as data."""

from __future__ import annotations

import json

import pytest

from survey import assessment
from survey.assessment import Finding

STOPS = Finding(
    "preflight.daemon_is_enabled",
    "stops",
    "In its jail it starts at boot.",
    "/etc/rc.conf:7 says NO, and /etc/rc.conf.local:2 says it, too",
    "docs/checks.md#preflight-daemon-is-enabled",
    about="web",
    todo="sysrc apache24_enable=YES",
    look=("service apache24 enabled", "grep " + "x" * 200),
)
TOLD = Finding("stays", "for information", "It stays.", "sshd", "docs/x", look=("ls",))
FOUND = (TOLD, STOPS)


def test_the_most_severe_comes_first_and_all_are_there() -> None:
    said = assessment.text(FOUND, "root@www", "FreeBSD 14.1", "2026-11-30T13:00:00Z")
    assert said.splitlines()[:2] == [
        "Assessment of root@www (FreeBSD 14.1), 2026-11-30T13:00:00Z",
        "1 finding stops a move, 0 to look at, 1 for information.",
    ]
    assert said.index("STOPS") < said.index("preflight.daemon_is_enabled (web)")
    assert said.index("FOR INFORMATION") < said.index("\nstays\n")
    assert "LOOK AT IT" not in said
    assert "  to do: sysrc apache24_enable=YES\n" in said
    assert "  see it: service apache24 enabled\n" in said
    assert "xxxx" not in said, "a line that nobody types"
    assert "  more: docs/checks.md#preflight-daemon-is-enabled\n" in said


def test_the_data_has_everything_and_where_it_is() -> None:
    data = json.loads(json.dumps(assessment.data(FOUND, "h", "r", "m")))
    first, second = data["findings"]
    assert (data["version"], first["id"], second["id"]) == (1, STOPS.id, "stays")
    assert first["places"] == ["/etc/rc.conf:7", "/etc/rc.conf.local:2"]
    assert (first["look"], first["about"]) == ([*STOPS.look], "web")


@pytest.mark.parametrize(
    ("message", "here", "todo"),
    [
        ("lan.network is in use: give lan.network another", "lan.network is in use", "give"),
        ("it listens on 25/tcp: add it to ports, or close it", "it listens on 25/tcp", "add it"),
        ("It runs (jail x). Take it out first: sysrc x=NO", "It runs (jail x)", "Take it out"),
        ("uid 1001: expected root (0); see host.user", "uid 1001", "expected root (0); see"),
        ("nothing listens on 53/udp", "nothing listens on 53/udp", ""),
    ],
)
def test_a_message_is_what_there_is_and_what_to_do(message: str, here: str, todo: str) -> None:
    is_, do = assessment.split(message)
    assert is_ == here
    assert do.startswith(todo) if todo else do == ""


def test_no_secret_is_in_a_finding() -> None:
    found = STOPS.without(lambda text: text.replace("YES", "LEFT-OUT-1"))
    assert "YES" not in found.todo
