"""When a guest has booted: jails are among the last that rc(8) starts, long after sshd."""

from __future__ import annotations

import re
import shlex

import pytest

from box.remote import STILL_BOOTING

SAID = {
    "/bin/sh /etc/rc autoboot": True,
    "/bin/sh -o verify /etc/rc autoboot": True,  # ps -axo args on 15.0, while it booted
    "/bin/sh /etc/rc.shutdown": False,
    f"/bin/sh -c {STILL_BOOTING}": False,
}


@pytest.mark.parametrize(("args", "boots"), SAID.items(), ids=SAID)
def test_a_guest_boots_as_long_as_rc_runs(args: str, boots: bool) -> None:
    pattern = shlex.split(STILL_BOOTING)[-1]
    assert bool(re.search(pattern, args)) is boots
