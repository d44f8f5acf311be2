"""A thin jail: it runs, sees what it should, and cannot write what it should not."""

from __future__ import annotations

from typing import Any

from operations.jail import BASE
from rollout.site import Site


def test_runs(host: Any, jail: str) -> None:
    assert host.run("jls -j %s jid", jail).rc == 0, f"jail {jail} does not run"


def test_has_its_address(host: Any, site: Site, jail: str) -> None:
    there = host.check_output("jls -j %s ip4.addr", jail).split(",")
    first, *public = map(str, site.jails[jail].addresses)
    # The kernel keeps the first and sorts the others.
    assert there[:1] == [first], f"jail {jail} has {there}: expected {first} first"
    assert set(there[1:]) == set(public), f"jail {jail} has {there}: expected {public}, too"


def test_base_is_read_only(host: Any, site: Site, jail: str) -> None:
    mounted = [line.split()[1:4] for line in host.check_output("mount -p").splitlines()]
    for name in BASE:
        point = f"{site.root(jail)}/{name}"
        assert [point, "nullfs", "ro"] in mounted, f"{point} is no read-only nullfs mount"


def test_has_no_passwords(host: Any, jail: str) -> None:
    rows = host.check_output("jexec %s cat /etc/master.passwd", jail).splitlines()
    with_password = [row.split(":")[0] for row in rows if row.split(":")[1:2] != ["*"]]
    assert rows and not with_password, f"accounts with a password in jail {jail}: {with_password}"


def test_returns_at_boot(host: Any, jail: str) -> None:
    enabled = host.check_output("sysrc -n jail_enable")
    assert enabled.upper() in ("YES", "TRUE", "ON", "1"), f"jail_enable is {enabled}"
    wanted = host.check_output("sysrc -n jail_list").split()
    assert jail in wanted, f"jail {jail} is not in jail_list: it stays down after a reboot"
