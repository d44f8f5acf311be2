"""BIND on a real FreeBSD: no query stays unanswered, and its secondary keeps up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from box.qemu.guest import Guest
from box.run_clients import resolving
from tests.lab import secondary
from tests.lab.operator import Operator
from tests.lab.secondary import ADDRESS, Secondary

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

ZONE = "example.org"
FILE = f"/usr/local/etc/namedb/primary/{ZONE}.db"
FIRST = 2023042701
TOLD_WITHIN = 60.0  # seconds from a reload until the secondary has the zone
QUESTIONS = 50.0  # per second, over each transport
# A notify is sent from the address that secondaries know: the egress address.
ORDER = ("preflight", "base", "network", "traffic", "egress", "bind")
TELLS = f"""
cd /usr/local/etc/namedb &&
sed -i '' 's/^options {{/options {{ notify explicit; also-notify {{ {ADDRESS}; }};/' named.conf &&
service named restart
"""


def renewed(guest: Guest, serial: int, where: str = "") -> None:
    """The zone gets its next serial, and BIND, in a jail or not, reloads it."""
    change = f"sed -i '' 's/{serial - 1}/{serial}/' {FILE}"
    done = guest.sh(f"{change} && {where}rndc reload {ZONE}")
    assert done.exit == 0, done.stdout + done.stderr


def test_queries_and_zone_transfers_work_during_the_whole_rollout(
    fresh_guest: Guest, tmp_path: Path
) -> None:
    if lacks := secondary.missing():
        pytest.skip(f"this machine has no {' and no '.join(lacks)}: no secondary")
    guest = fresh_guest
    operator = Operator(guest, tmp_path, ORDER)
    assert guest.sh(TELLS).exit == 0
    before = operator.fingerprint()
    figures: dict[str, int] = {}
    serial = FIRST
    for name, words, where in (
        ("apply", ("apply", "--yes"), "jexec bind "),
        ("rollback", ("rollback",), ""),
    ):
        folder = tmp_path / f"secondary of {name}"
        folder.mkdir()
        with Secondary(guest, ZONE, folder) as other:
            other.wait_for(serial, TOLD_WITHIN)
            other.take_all_the_time()
            with resolving(guest, ZONE, rate=QUESTIONS) as asker:
                asker.wait_ready()
                done = operator.deploy(*words)
                resolved = asker.stop()
            assert done.returncode == 0, done.stdout + done.stderr
            transfers = other.transfers()
        failed = f"{len(resolved.failures)} unanswered: {resolved.failures[:3]}"
        assert not resolved.failures, failed
        assert len(transfers) > 10
        assert set(transfers) == {"success"}, transfers
        # Only by BIND's notify: the secondary does not poll the zone any more.
        with Secondary(guest, ZONE, folder) as other:
            other.wait_for(serial, TOLD_WITHIN)
            serial += 1
            renewed(guest, serial, where)
            other.wait_for(serial, TOLD_WITHIN)
        figures |= {
            f"{name}: over UDP": resolved.over_udp,
            f"{name}: over TCP": resolved.over_tcp,
            f"{name}: zones": len(transfers),
        }
    print(json.dumps(figures, indent=2))
    assert guest.sh(f"sed -i '' 's/{serial}/{FIRST}/' {FILE}").exit == 0
    assert operator.fingerprint() == before
