"""Accounts that a jail would not have, since they are not in /etc/passwd."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import test_accounts as accounts

HERE = "root:0\nann:1001\n"
SWITCH = "/etc/nsswitch.conf:13:passwd: "


class Host:
    def __init__(self, lines: str, found: str) -> None:
        known = "".join(f"{row.split(':')[0]}\n" for row in HERE.splitlines())
        self.said = f"{lines}=\n{found}=\n{known}"

    def check_output(self, command: str) -> str:
        return self.said


def asked(lines: str, found: str = HERE) -> None:
    host: Any = Host(lines, found)
    accounts.test_are_in_passwd(host, (1001, 1999))


@pytest.mark.parametrize(
    "sources",
    ["compat", "files", "cache files # ldap", "files [success=return] db", "cache compat"],
)
def test_the_hosts_own_files_are_enough(sources: str) -> None:
    asked(f"{SWITCH}{sources}\n")


def test_no_nsswitch_conf_at_all() -> None:
    asked("")


@pytest.mark.parametrize("sources", ["files ldap", "sss files", "winbind", "files [!success] nis"])
def test_a_directory_that_lists_nobody_is_refused(sources: str) -> None:
    with pytest.raises(AssertionError, match=rf"nsswitch.conf:13:passwd: {sources[:4]}.*/etc/pass"):
        asked(f"{SWITCH}{sources}\n")


def test_an_account_of_the_range_is_named() -> None:
    with pytest.raises(AssertionError, match=r"accounts \(bea\) come from elsewhere"):
        asked(f"{SWITCH}files ldap\n", f"{HERE}bea:1002\nadmin:20001\n")


def test_accounts_outside_of_the_range_are_not_asked_for() -> None:
    asked(f"{SWITCH}files ldap\n", f"{HERE}admin:20001\n")


def test_a_line_of_nis_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"/etc/passwd:30:\+::::::::"):
        asked(f"{SWITCH}compat\n/etc/passwd:30:+::::::::\n")
