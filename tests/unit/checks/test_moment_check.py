"""What makes a bad moment, by what FreeBSD prints."""

from __future__ import annotations

from datetime import date

import pytest

from tests.checks import test_moment as moment
from tests.checks.moments import ENDS, ends


class Printing:
    """A host on which every command prints the same."""

    def __init__(self, text: str) -> None:
        self.text = text

    def check_output(self, command: str) -> str:
        return self.text


@pytest.mark.parametrize(
    "line",
    [
        "/bin/sh - /usr/sbin/periodic daily",
        "/usr/local/sbin/pkg upgrade -y",
        "/bin/sh /usr/sbin/freebsd-update cron",
        "/usr/local/bin/rsync -a /home backup:",
        "mysqldump --all-databases",
    ],
)
def test_a_backup_or_an_upgrade_is_told_with_its_pid(line: str) -> None:
    told = rf"{line} [(]pid 812[)]: wait until"
    with pytest.raises(AssertionError, match=told):
        moment.test_nothing_copies_or_upgrades_files_now(
            Printing(f"    1 /sbin/init\n  812 {line}")
        )


def test_daemons_and_logins_are_no_backup() -> None:
    rows = ("/sbin/init", "/usr/sbin/cron -s", "sshd: root@notty", "/usr/local/sbin/httpd -DNOHTTP")
    text = "\n".join(f"{n:5} {row}" for n, row in enumerate(rows, 1))
    moment.test_nothing_copies_or_upgrades_files_now(Printing(text))


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ("14.1-RELEASE-p5\n14.1-RELEASE-p3\n14.1-RELEASE-p5", "p5 is installed.*restart"),
        ("14.1-RELEASE\n14.1-RELEASE\n13.2-RELEASE-p11", "programs are 13.2.*end the upgrade"),
    ],
)
def test_what_a_restart_would_change_is_told(printed: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        moment.test_no_restart_is_pending(Printing(printed))


def test_patches_of_programs_alone_want_no_restart() -> None:
    moment.test_no_restart_is_pending(Printing("14.1-RELEASE-p3\n14.1-RELEASE-p3\n14.1-RELEASE-p5"))


def test_a_release_ends_on_its_day_and_one_that_is_not_known_with_its_branch() -> None:
    moment.test_release_gets_patches(Printing("14.1-RELEASE-p3\n2025-03-31"))
    with pytest.raises(AssertionError, match="since 2025-03-31"):
        moment.test_release_gets_patches(Printing("14.1-RELEASE-p3\n2025-04-01"))
    assert ends("14.9-RELEASE") == ENDS["14"] == date(2028, 11, 30)
    assert ends("16.0-CURRENT") is None


def test_a_file_system_is_nearly_full_from_95_percent_on() -> None:
    head = "Filesystem 1024-blocks Used Avail Capacity Mounted on\n"
    moment.test_no_file_system_is_nearly_full(Printing(f"{head}/dev/da0p2 1000 940 60 94% /"))
    full = "zroot/a b 1000000 990000 -2048 102% /data/a b"
    with pytest.raises(AssertionError, match=r"/data/a b [(]102 %, -2 MiB free[)]"):
        moment.test_no_file_system_is_nearly_full(Printing(head + full))
