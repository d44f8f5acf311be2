"""A thin jail: it runs, sees what it should, and cannot write what it should not."""

from __future__ import annotations

from typing import Any

from operations.jail import BASE
from rollout.site import Site


def test_runs(jails: dict[str, list[str]], jail: str) -> None:
    assert jail in jails, f"jail {jail} does not run"


def test_has_its_address(jails: dict[str, list[str]], site: Site, jail: str) -> None:
    there = jails.get(jail, [])
    first, *public = map(str, site.jails[jail].addresses)
    # The kernel keeps the first and sorts the others.
    assert there[:1] == [first], f"jail {jail} has {there}: expected {first} first"
    assert set(there[1:]) == set(public), f"jail {jail} has {there}: expected {public}, too"


def test_base_is_read_only(mounts: list[list[str]], site: Site, jail: str) -> None:
    for name in BASE:
        point = f"{site.root(jail)}/{name}"
        assert [point, "nullfs", "ro"] in mounts, f"{point} is no read-only nullfs mount"


def test_has_no_passwords(host: Any, jail: str) -> None:
    rows = host.check_output("jexec %s cat /etc/master.passwd", jail).splitlines()
    with_password = [row.split(":")[0] for row in rows if row.split(":")[1:2] != ["*"]]
    assert rows and not with_password, f"accounts with a password in jail {jail}: {with_password}"


def test_returns_at_boot(jails_at_boot: list[str], jail: str) -> None:
    assert jail in jails_at_boot, (
        f"jail {jail} stays down after a reboot: not in jail_list, or jail_enable is not YES"
    )
