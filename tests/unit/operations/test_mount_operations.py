"""The fstab of a jail."""

from __future__ import annotations

import pytest
from pyinfra.api.exceptions import OperationError

from operations import mount
from operations.command import NewFile
from operations.facts import Path, State
from operations.mount import Nullfs
from tests.unit.operations.asking import yielded

MOUNTS = [Nullfs("/bin", "/j/web/bin"), Nullfs("/var/db/mysql", "/j/web/var/db/mysql", True)]


def test_a_table_has_a_line_a_mount_in_the_order_given() -> None:
    new, _ = yielded(mount.table, {Path: State()}, path="/j/fstab", mounts=MOUNTS)
    assert isinstance(new, NewFile)
    assert new.content == (
        "/bin\t/j/web/bin\tnullfs\tro\t0\t0\n/var/db/mysql\t/j/web/var/db/mysql\tnullfs\trw\t0\t0\n"
    )
    assert new.path == "/j/fstab"


def test_a_mount_is_read_only_unless_it_says_otherwise() -> None:
    assert Nullfs("/bin", "/j/bin").line().split()[3] == "ro"


@pytest.mark.parametrize(
    "bad", [Nullfs("/a b", "/j/a"), Nullfs("/a", "/j/a\tb"), Nullfs("/a", "/j/a\nb")]
)
def test_white_space_is_refused_since_fstab_cannot_say_it(bad: Nullfs) -> None:
    with pytest.raises(OperationError, match="has white space"):
        yielded(mount.table, {Path: State()}, path="/j/fstab", mounts=[*MOUNTS, bad])
