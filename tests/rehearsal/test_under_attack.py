"""A rollback ends as it should, whatever somebody in the jail does against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.engine.runner import Runner
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.on_standin import Notes, runner, typed
from tests.rehearsal.sites import ordered


@pytest.fixture
def told() -> Notes:
    return Notes()


@pytest.fixture
def attacked(tmp_path: Path, told: Notes) -> Iterator[tuple[Box, Runner]]:
    """BIND in its jail."""
    made = ordered("bind")
    with standin_box(made.site, tmp_path) as box, runner(made, box, told) as running:
        running.apply("bind.cutover")
        yield box, running


_WAITS = "no file in the place of rc.conf"
"""Each command in the jail waits for its limit."""
LIES = """printf '#!/bin/sh\\necho named is running as pid 1.\\nexit 1\\n'"""
HIT = "/root/hit"
IN_JAIL = {
    "links in its data": "cd /usr/local/etc/namedb/working && ln -s /root out && ln -s /etc etc",
    "a name with a newline, as if it were a fact": "mkdir -p '/usr/local/etc/x\npath /etc/rc.conf "
    "Regular File 600 root:wheel'; : > '/usr/local/etc/y\npath z'; "
    ": > '/usr/local/etc/namedb/working/x\nservice sshd runs'",
    "its daemon ended": "service named onestop",
    "an rc script that says what it likes": f"{LIES} > /usr/local/etc/rc.d/named",
    _WAITS: "rm /etc/rc.conf && mkfifo /etc/rc.conf",
    "a directory in the place of a file that an undo removes": "cd /etc/newsyslog.conf.d && "
    "rm -f cellblock-moved.conf && mkdir cellblock-moved.conf",
    "another serial than its files have": "cd /usr/local/etc/namedb && sed -e s/2023042701/2099/ "
    "primary/example.org.db > other.db && sed -i '' -e s,primary/example.org.db,other.db, "
    "named.conf && service named onerestart",
}


@pytest.mark.parametrize(
    "does",
    [
        pytest.param(does, id=name, marks=[pytest.mark.whole] if name == _WAITS else [])
        for name, does in IN_JAIL.items()
    ],
)
def test_a_rollback_goes_all_the_way(attacked: tuple[Box, Runner], does: str) -> None:
    box, running = attacked
    typed(box, f'jexec bind sh -c "{does}"')
    running.rollback(set_aside=True)
    assert typed(box, "jls name; ls /usr/jails 2>/dev/null || :") == ""


def test_what_a_jail_that_is_gone_left_in_its_rc_conf_is_not_run(
    attacked: tuple[Box, Runner],
) -> None:
    """sysrc(8) lets sh read the files that it is given."""
    box, running = attacked
    typed(box, f"jexec bind sh -c 'echo \": > {HIT}\" >> /etc/rc.conf'; service jail onestop bind")
    typed(box, "! jls -j bind jid")
    running.rollback(set_aside=True)
    typed(box, f"[ ! -e {HIT} ]")


def test_what_fails_on_the_way_is_told(attacked: tuple[Box, Runner], told: Notes) -> None:
    box, running = attacked
    typed(box, "jexec bind service named onestop")
    running.rollback("bind.jail")
    notes = [each for each in told.notes if "the rollback goes on" in each]
    assert notes, told.notes
    assert "named" in notes[0]


def test_files_that_come_and_go_in_a_jail_are_no_difference(
    attacked: tuple[Box, Runner],
) -> None:
    """While its steps are undone, one after the other."""
    box, running = attacked
    turning = "while :; do : > /usr/local/etc/turn; sleep 0.1; rm /usr/local/etc/turn; done"
    typed(box, f"jexec bind sh -c '({turning}) >/dev/null 2>&1 &'")
    running.rollback("bind.jail", set_aside=True)
    running.rollback(set_aside=True)
    assert typed(box, "jls name") == ""


def test_a_file_that_goes_before_it_is_set_aside(
    attacked: tuple[Box, Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, running = attacked
    typed(box, "sleep 1.1; jexec bind sh -c ': > /etc/gone; echo kept > /etc/there'")
    from rollout.engine import drift

    found = drift.read

    def read(session: object) -> drift.Drift:
        seen = found(session)  # type: ignore[arg-type]
        typed(box, "jexec bind rm -f /etc/gone")
        return seen

    monkeypatch.setattr(drift, "read", read)
    running.rollback(set_aside=True)
    archive = typed(box, "cd /var/db/cellblock/aside && tar -tf *.tar").split()
    assert "usr/jails/bind/root/etc/there" in archive
