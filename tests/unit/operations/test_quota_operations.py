"""Users' data in MySQL: their owners are set, and restored."""

from __future__ import annotations

from operations import quota
from tests.unit.operations.asking import pairs, reversible

SCRIPT = "/usr/local/etc/cellblock/mysql.quota"


def test_it_is_given_and_taken_back_and_never_beside_cron() -> None:
    lock = f"lockf -k -s -t 600 /var/run/mysql.quota.lock sh {SCRIPT}"
    assert pairs(reversible(quota.given, script=SCRIPT)) == [
        (f"{lock} give", f"if [ -e {SCRIPT} ]; then {lock} back; fi")
    ]
    assert quota.once(SCRIPT) == lock
