"""The fstab of a jail."""

from __future__ import annotations

from pathlib import Path as LocalPath
from typing import Any

import pytest
from pyinfra.api.exceptions import OperationError
from pyinfra.context import ctx_host

from operations import mount
from operations.command import NewFile, Reversible
from operations.facts import IsDirectory, MountedBelow, Path, Restricted, State
from operations.mount import Nullfs
from tests.unit.operations.asking import typed, yielded

MOUNTS = [Nullfs("/bin", "/j/web/bin"), Nullfs("/var/db/mysql", "/j/web/var/db/mysql", True)]


def test_a_table_has_a_line_a_mount_in_the_order_given() -> None:
    facts = {Path: State(), MountedBelow: (), Restricted: {}}
    new, _ = yielded(mount.table, facts, path="/j/fstab", mounts=MOUNTS)
    assert isinstance(new, NewFile)
    assert new.content == (
        "/bin\t/j/web/bin\tnullfs\tro\t0\t0\n/var/db/mysql\t/j/web/var/db/mysql\tnullfs\trw\t0\t0\n"
    )
    assert new.path == "/j/fstab"


@pytest.mark.parametrize("kind", ["absent", "file", "link"])
def test_an_optional_mount_is_left_out_where_the_host_has_no_such_directory(kind: str) -> None:
    maybe = Nullfs("/usr/local/man", "/j/web/usr/local/man", optional=True)
    assert table({IsDirectory: State(kind)}, [*MOUNTS, maybe]) == [each.line() for each in MOUNTS]


def test_an_optional_mount_is_made_where_the_host_has_the_directory() -> None:
    maybe = Nullfs("/usr/local/man", "/j/web/usr/local/man", optional=True)
    facts = {IsDirectory: State("directory", "755", "root:wheel")}
    assert ("/usr/local/man", "/j/web/usr/local/man") in [
        tuple(row.split("\t")[:2]) for row in table(facts, [*MOUNTS, maybe])
    ]


def test_where_nobody_has_read_the_host_its_own_directories_decide(tmp_path: LocalPath) -> None:
    (tmp_path / "bin").mkdir()
    mounts = [Nullfs(f"{tmp_path}/bin", "/j/bin", optional=True)]
    mounts += [Nullfs(f"{tmp_path}/man", "/j/man", optional=True)]
    path = tmp_path / "fstab"
    facts = {IsDirectory: IsDirectory.default(), Path: State(), MountedBelow: (), Restricted: {}}
    new, sifted = yielded(mount.table, facts, path=str(path), mounts=mounts)
    assert isinstance(new, NewFile)
    assert isinstance(sifted, Reversible)
    LocalPath(new.staged).write_text(new.content)
    assert typed(sifted.do, tmp_path).returncode == 0
    assert path.read_text() == mounts[0].line() + "\n"
    for _ in range(2):
        assert typed(str(sifted.undo), tmp_path).returncode == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bin"]


def table(facts: dict[type[IsDirectory], State], mounts: list[Nullfs]) -> list[str]:
    """The lines of a table; files.put uses the same facts, so it must not find a directory."""
    asked: list[str] = []

    class Listener:
        def get_fact(self, fact: Any, path: str = "", **_: Any) -> Any:
            if fact is MountedBelow:
                return ()
            if fact is Restricted:
                return {"/usr/local/man": ("nosuid",)}
            asked.append(path)
            return facts[fact] if fact is IsDirectory else State()

        def noop(self, description: str) -> None: ...

    with ctx_host.use(Listener()):
        new, _ = list(mount.table._inner("/j/fstab", mounts))
    assert isinstance(new, NewFile)
    assert "/bin" not in asked, "a mount that is needed is not asked for"
    return new.content.splitlines()


def test_a_mount_is_read_only_unless_it_says_otherwise() -> None:
    assert Nullfs("/bin", "/j/bin").line().split()[3] == "ro"


@pytest.mark.parametrize(
    "bad", [Nullfs("/a b", "/j/a"), Nullfs("/a", "/j/a\tb"), Nullfs("/a", "/j/a\nb")]
)
def test_white_space_is_refused_since_fstab_cannot_say_it(bad: Nullfs) -> None:
    facts = {Path: State(), MountedBelow: (), Restricted: {}}
    with pytest.raises(OperationError, match="contains white space"):
        yielded(mount.table, facts, path="/j/fstab", mounts=[*MOUNTS, bad])


def test_a_file_system_below_is_listed_apart_since_it_may_be_gone_when_the_jail_starts() -> None:
    mounts = [Nullfs("/home", "/j/home", True), Nullfs("/srv", "/j/srv")]
    below = (("/home", "/ann"), ("/home", "/ann/www"), ("/srv", "/x"))
    facts = {Path: State(), MountedBelow: below, Restricted: {}}
    more, _, new, _ = yielded(mount.table, facts, path="/j/fstab", mounts=mounts)
    assert isinstance(new, NewFile)
    assert isinstance(more, NewFile)
    assert more.path == "/j/fstab.below"
    assert [row.split()[:4] for row in new.content.splitlines()] == [
        ["/home", "/j/home", "nullfs", "rw"],
        ["/srv", "/j/srv", "nullfs", "ro"],
    ]
    assert [row.split()[:4] for row in more.content.splitlines()] == [
        ["/home/ann", "/j/home/ann", "nullfs", "rw"],
        ["/home/ann/www", "/j/home/ann/www", "nullfs", "rw"],
        ["/srv/x", "/j/srv/x", "nullfs", "ro"],
    ]


def test_what_does_not_run_on_the_host_does_not_run_in_the_jail() -> None:
    """nullfs(5) knows neither noexec nor nosuid of what is below."""
    facts = {
        Path: State(),
        MountedBelow: (("/home", "/ann"),),
        Restricted: {"/home": ("noexec", "nosuid"), "/home/ann": ("nosuid",)},
    }
    mounts = [Nullfs("/home", "/j/home", True), Nullfs("/srv", "/j/srv")]
    more, _, new, _ = yielded(mount.table, facts, path="/j/fstab", mounts=mounts)
    assert isinstance(new, NewFile)
    assert isinstance(more, NewFile)
    options = [row.split()[3] for each in (new, more) for row in each.content.splitlines()]
    assert options == ["rw,nosuid,noexec", "ro", "rw,nosuid"]


def test_the_file_system_that_holds_a_directory_is_the_one_that_counts(tmp_path: LocalPath) -> None:
    (tmp_path / "home" / "ann").mkdir(parents=True)
    (tmp_path / "homes").mkdir()
    (tmp_path / "link").symlink_to("home/ann")
    table = "\n".join(
        [
            "/dev/da0p2 / ufs rw 1 1",
            f"/dev/da1p1 {tmp_path}/home ufs rw,noexec,nosuid 2 2",
            f"zroot/x {tmp_path}/home/ann/x zfs rw,noexec 0 0",
        ]
    )
    stub = f"mount() {{ echo {table!r}; }}".replace("\\n", "\n")
    places = [f"{tmp_path}/{each}" for each in ("link", "homes", "none", "home")]
    told = typed(f"{stub}; {Restricted().command(places)}", tmp_path)
    assert Restricted().process(told.stdout.splitlines()) == {
        f"{tmp_path}/link": ("noexec", "nosuid"),
        f"{tmp_path}/link/x": ("noexec",),
        f"{tmp_path}/home": ("noexec", "nosuid"),
        f"{tmp_path}/home/ann/x": ("noexec",),
    }


def test_what_is_mounted_below_is_found_behind_a_link(tmp_path: LocalPath) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    table = "\n".join(
        f"tmpfs {tmp_path}/{at} tmpfs rw 0 0" for at in ("home/b/c", "home/b", "homes")
    )
    stub = f"mount() {{ echo {table!r}; }}".replace("\\n", "\n")
    line = MountedBelow().command([f"{tmp_path}/none", f"{tmp_path}/link"])
    told = typed(f"{stub}; {line}", tmp_path)
    assert MountedBelow().process(told.stdout.splitlines()) == (
        (f"{tmp_path}/link", "/b"),
        (f"{tmp_path}/link", "/b/c"),
    )
