"""When a guest has booted: jails are among the last that rc(8) starts, long after sshd."""

from __future__ import annotations

import re
import subprocess

import pytest

from box.remote import RC, STILL_BOOTING

SAID = {
    "/bin/sh /etc/rc autoboot": True,
    "/bin/sh -o verify /etc/rc autoboot": True,  # ps -axo args on 15.0, while it booted
    "/bin/sh /etc/rc.shutdown": False,
    f"/bin/sh -c {STILL_BOOTING}": False,
}


@pytest.mark.parametrize(("args", "boots"), SAID.items(), ids=SAID)
def test_a_guest_boots_as_long_as_rc_runs(args: str, boots: bool) -> None:
    assert bool(re.search(RC, args)) is boots


@pytest.mark.parametrize(("rc", "getty", "boots"), [(0, 1, True), (0, 0, False), (1, 1, False)])
def test_a_guest_has_booted_when_there_is_a_terminal_or_no_rc(
    rc: int, getty: int, boots: bool
) -> None:
    pgrep = f"pgrep() {{ case $1 in -qx) return {getty} ;; esac; return {rc}; }}"
    text = f"{pgrep}; if {STILL_BOOTING}; then echo boots; fi; ! {STILL_BOOTING} && echo booted; :"
    said = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["boots" if boots else "booted"]
