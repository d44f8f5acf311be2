"""A login that is not root's on a real FreeBSD, from check to rollback."""

from __future__ import annotations

from pathlib import Path

import pytest

from box.qemu.guest import Guest
from tests.lab.operator import Operator

pytestmark = [pytest.mark.guest, pytest.mark.timeout(3600)]

ORDER = ("preflight", "base", "network", "bind")
ANNA = """
pw useradd anna -u 2001 -m -s /bin/csh && mkdir -p -m 700 ~anna/.ssh &&
cp /root/.ssh/authorized_keys ~anna/.ssh/ && chown -R anna ~anna/.ssh &&
echo 'echo Good evening, anna' > ~anna/.cshrc
"""
MDO = "kldload -n mac_do && sysctl security.mac.do.rules='uid=2001>uid=0,gid=*,+gid=*'"
DOAS = "echo 'permit nopass anna as root cmd /bin/sh' > /usr/local/etc/doas.conf"


@pytest.mark.parametrize(("become", "allowed"), [("mdo", MDO), ("doas", DOAS)])
def test_anna_moves_bind_and_back_from_her_csh(
    fresh_guest: Guest, tmp_path: Path, become: str, allowed: str
) -> None:
    guest = fresh_guest
    if guest.sh(f"command -v {become}").exit:
        pytest.skip(f"this image has no {become}")
    operator = Operator(guest, tmp_path, ORDER, probes=1)
    text = operator.site.read_text(encoding="utf-8")
    anna = f'[host]\nuser = "anna"\nbecome = "{become}"\n'
    operator.site.write_text(text.replace("[host]\n", anna), encoding="utf-8")
    assert guest.sh(ANNA).exit == 0

    refused = operator.deploy("check")
    assert refused.returncode == 5, refused.stdout + refused.stderr
    assert "become was refused" in refused.stderr

    assert guest.sh(allowed).exit == 0
    before = operator.fingerprint()
    for words in (("check",), ("apply", "--yes"), ("verify",), ("rollback",)):
        done = operator.deploy(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    assert operator.fingerprint() == before
