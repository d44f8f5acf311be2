"""Databases owned by accounts, on a real FreeBSD whose real MySQL keeps writing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from box.qemu.guest import Guest
from tests.lab.operator import Operator

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

DATA = "/var/db/mysql"
MADE = (
    "CREATE DATABASE alice_shop; CREATE TABLE alice_shop.goods (n INT); "
    "INSERT INTO alice_shop.goods VALUES (1)"
)
SHOW = f"stat -f '%N %Su:%Sg %Lp' {DATA}/alice_shop {DATA}/alice_shop/*"


def typed(guest: Guest, statement: str) -> str:
    done = guest.sh(f'/usr/local/bin/mysql -N -e "{statement}"')
    assert done.exit == 0, done.stderr
    return done.stdout


def test_a_database_counts_for_its_account_and_mysql_goes_on(
    fresh_guest: Guest, tmp_path: Path
) -> None:
    order = ("preflight", "base", "network", "mysql", "mysql_quota")
    operator = Operator(fresh_guest, tmp_path, order)
    with operator.site.open("a", encoding="utf-8") as file:
        file.write('\n[accounts]\nquota_minutes = 1\nshared_databases = ["shop", "test"]\n')
    guest = operator.guest
    typed(guest, MADE)
    owners = guest.sh(SHOW).stdout
    assert owners and all(" mysql:mysql " in line for line in owners.splitlines()), owners
    before = operator.fingerprint()
    done = operator.deploy("apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    theirs = guest.sh(SHOW).stdout.splitlines()
    assert theirs and all(" alice:mysql " in line for line in theirs), theirs
    typed(guest, "INSERT INTO alice_shop.goods VALUES (2); ALTER TABLE alice_shop.goods ADD m INT")
    typed(guest, "CREATE TABLE alice_shop.more (n INT); INSERT INTO alice_shop.more VALUES (3)")
    guest.wait_until(
        lambda: "mysql:mysql" not in guest.sh(SHOW).stdout, "given by cron what is new", 180.0
    )
    assert typed(guest, "SELECT COUNT(*) FROM alice_shop.goods").strip() == "2"
    done = operator.deploy("rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert operator.fingerprint() == before
    back = guest.sh(SHOW).stdout.splitlines()
    assert back and all(" mysql:mysql " in line for line in back), back
    assert typed(guest, "SELECT n FROM alice_shop.more").strip() == "3"
