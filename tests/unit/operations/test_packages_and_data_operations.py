"""Packages of a jail, and what a daemon's data needs around a move."""

from __future__ import annotations

from operations import data, packages
from tests.unit.operations.asking import pairs, reversible


def test_packages_are_packed_with_all_they_need_and_added_below_the_root() -> None:
    commands = reversible(
        packages.cloned, root="/j/web", names=["apache24", "mod_php"], store="/j/my packages"
    )
    assert pairs(commands) == [
        (
            "install -d -m 700 '/j/my packages' && pkg create -q -o '/j/my packages' "
            "$(pkg info -q -d apache24 mod_php | sort -u) apache24 mod_php",
            "rm -rfx '/j/my packages'",
        ),
        ("pkg -r /j/web add -q '/j/my packages'/*.pkg", ":"),
    ]
    assert [command.limit for command in commands] == [900, 900]
    assert commands[0].says == "pack apache24, mod_php and their dependencies"


def test_dirty_pages_are_flushed_and_the_default_comes_back() -> None:
    [command] = reversible(data.flushed, client="/usr/local/bin/mysql -u root")
    assert pairs([command]) == [
        (
            "/usr/local/bin/mysql -u root -e 'SET GLOBAL innodb_max_dirty_pages_pct = 0'",
            "/usr/local/bin/mysql -u root "
            "-e 'SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT' || true",
        )
    ]
    assert command.live
