"""Configuration for each account: one awk, refused where a name cannot be written into it."""

from __future__ import annotations

import subprocess
from pathlib import Path as LocalPath

import pytest

from operations import accounts, jail
from operations.accounts import InJail
from operations.command import NewFile, Reversible
from tests.unit.operations.asking import reversible, typed, yielded

# ruff: noqa: S105 - passwd(5), not a password
PASSWD = """\
root:*:0:0:Charlie &:/root:/bin/csh
alice:*:1001:1001:User &:/home/alice:/bin/sh
bob:*:1002:20:User &:/usr/home/bob:/bin/sh
carol:*:2001:2001:User &:/home/carol:/bin/sh
"""
TEMPLATE = (
    "# Written by cellblock\nhead @NAME@\n# each account:\n@NAME@ @UID@ @GID@ @HOME@ @ALSO@\n"
)


def laid(where: LocalPath, passwd: str = PASSWD) -> tuple[str, str]:
    """The line and its undo, in a jail that is this machine's `where`."""
    etc = where / "local-etc"
    etc.mkdir(exist_ok=True)
    (where / "passwd").write_text(passwd)
    file = InJail("web", f"{etc}/pools.conf", f"{etc}/pools.conf", str(where))
    new, command = yielded(accounts.configured, file=file, template=TEMPLATE, uids=(1001, 1999))
    assert isinstance(new, NewFile)
    assert isinstance(command, Reversible)
    LocalPath(new.staged).write_text(new.content)
    return command.do.replace("/etc/passwd", f"{where}/passwd"), str(command.undo)


def by_root(text: str, where: LocalPath, running: bool = True) -> subprocess.CompletedProcess[str]:
    mv = 'if [ "$1" = -fh ]; then shift; exec /bin/mv -fT "$@"; fi; exec /bin/mv "$@"'
    jexec = 'shift; exec "$@"'
    return typed(text, where, jexec=jexec, jls=f"exit {0 if running else 1}", mv=mv)


def test_a_head_once_and_the_rest_for_each_account_of_the_range(tmp_path: LocalPath) -> None:
    done = by_root(laid(tmp_path)[0], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "local-etc/pools.conf").read_text().splitlines() == [
        "# Written by cellblock",
        "head @NAME@",
        "alice 1001 1001 /home/alice /usr/home/alice",
        "bob 1002 20 /usr/home/bob /home/bob",
    ]
    assert not (tmp_path / ".pools.conf.cellblock").exists()


@pytest.mark.parametrize(
    "line", ["1003:*:1003:1003::/home/x:/bin/sh", "eve:*:1003:1003::/home/e ve:/bin/sh"]
)
def test_an_account_that_cannot_stand_there_fails_the_step(tmp_path: LocalPath, line: str) -> None:
    done = by_root(laid(tmp_path, PASSWD + line + "\n")[0], tmp_path)
    assert done.returncode != 0
    assert f"account {line.split(':', maxsplit=1)[0]}: its name or home" in done.stderr
    assert not (tmp_path / "local-etc/pools.conf").exists()


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("before", [None, "somebody's\n"], ids=["nothing", "a file"])
def test_the_undo_puts_back_what_was_there_and_may_run_twice(
    tmp_path: LocalPath, running: bool, before: str | None
) -> None:
    path = tmp_path / "local-etc/pools.conf"
    for ran in (False, True):
        do, undo = laid(tmp_path)
        if before is not None:
            path.write_text(before)
        if ran:
            assert by_root(do, tmp_path).returncode == 0
        for _ in range(2):
            done = by_root(undo, tmp_path, running)
            assert done.returncode == 0, done.stderr
            assert (path.read_text() if path.exists() else None) == before
            assert {each.name for each in path.parent.iterdir()} <= {path.name}


def test_a_stopped_jails_link_is_not_followed(tmp_path: LocalPath) -> None:
    _, undo = laid(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/pools.conf").write_text("# Written by cellblock\n")
    (tmp_path / "local-etc").rmdir()
    (tmp_path / "local-etc").symlink_to(tmp_path / "elsewhere")
    assert by_root(undo, tmp_path, running=False).returncode != 0
    assert (tmp_path / "elsewhere/pools.conf").exists()


def test_what_a_stopped_jail_has_left_does_not_go_where_its_link_leads(
    tmp_path: LocalPath,
) -> None:
    """mv into a directory's place would move into it."""
    _, undo = laid(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "local-etc/pools.conf").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "local-etc/pools.conf.before").write_text("planted\n")
    assert by_root(undo, tmp_path, running=False).returncode == 0
    assert list((tmp_path / "elsewhere").iterdir()) == []


GROUPS = """\
# $FreeBSD$
wheel:*:0:root,alice,bob
staff:*:20:carol
alice:$1$hash:1001:
bob:*:2001:
projects:*:3000:bob,alice
others:*:3001:bob
nogroup:*:65533:
"""


def test_a_jail_has_all_groups_and_of_their_members_its_accounts(tmp_path: LocalPath) -> None:
    (tmp_path / "master.passwd").write_text(
        "root:*:0:0::0:0:x:/root:/bin/csh\n"
        "alice:$6$hash:1001:1001::0:0:User &:/home/alice:/bin/sh\n"
        "bob:$6$hash:2001:2001::0:0:User &:/home/bob:/bin/sh\n"
    )
    (tmp_path / "group").write_text(GROUPS)
    (tmp_path / "jail").mkdir()
    commands = reversible(jail.configuration, root="/j/web", uids=(1001, 1999))
    do = commands[1].do.replace("/j/web/etc", f"{tmp_path}/jail").replace(" /etc/", f" {tmp_path}/")
    done = typed(do, tmp_path, pwd_mkdb=":")  # noqa: S106 # a stub, not a password
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "jail/group").read_text().splitlines() == [
        "wheel:*:0:root,alice",
        "staff:*:20:",
        "alice:*:1001:",
        "bob:*:2001:",
        "projects:*:3000:alice",
        "others:*:3001:",
        "nogroup:*:65533:",
    ]
