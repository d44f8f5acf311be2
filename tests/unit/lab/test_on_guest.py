"""What the laboratory guarantees about a real guest."""

import json
import time
from pathlib import Path

import pytest

from box.qemu.guest import Guest
from box.remote import Answer, GuestError

pytestmark = [pytest.mark.guest, pytest.mark.slow]

RECORDING = Path(__file__).parents[2] / "contract" / "freebsd-13.2.json"


def test_sh_is_not_roots_csh(fresh_guest: Guest) -> None:
    assert fresh_guest.ssh("echo $shell").stdout == "/bin/csh\n"
    assert fresh_guest.sh("for i in 1 2; do echo '!'$i; done >&2; exit 3") == Answer(
        3, "", "!1\n!2\n"
    )


def test_it_answers_what_the_recorded_one_answered(fresh_guest: Guest) -> None:
    recorded = [
        json.loads(line.rstrip(",\n"))
        for line in RECORDING.read_text().splitlines()
        if '"section": "system"' in line
    ]
    assert recorded
    for entry in recorded:
        answer = Answer(entry["exit"], entry["stdout"], entry["stderr"])
        assert fresh_guest.sh(entry["command"]) == answer, entry["command"]


def test_a_restored_guest_has_forgotten_and_knows_the_time(fresh_guest: Guest) -> None:
    fresh_guest.sh("touch /root/planted")
    fresh_guest.restore()
    answer = fresh_guest.sh("ls /root/planted; date +%s")
    assert "No such file" in answer.stderr
    assert abs(int(answer.stdout) - time.time()) < 15


def test_a_power_cut_loses_what_was_not_written(fresh_guest: Guest) -> None:
    fresh_guest.sh("echo kept >/root/kept; fsync /root/kept; echo lost >/root/lost")
    fresh_guest.power_off()
    fresh_guest.boot()
    assert fresh_guest.sh("cat /root/kept; ls /root/lost").stdout == "kept\n"
    assert "login:" in fresh_guest.console()


def test_a_cut_link_is_a_lost_connection(fresh_guest: Guest) -> None:
    fresh_guest.cut_link()
    with pytest.raises(GuestError, match="no connection to the guest"):
        fresh_guest.sh("true")
    fresh_guest.restore_link()
    assert fresh_guest.sh("true").exit == 0
