"""The script that makes a jail's accounts the host's: what it writes, refuses, and says once."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from operations.accounts import FILLED
from operations.command import quote
from steps.render import render
from tests.unit.operations.asking import typed

# ruff: noqa: S105 - passwd(5), not a password
PASSWD = """\
root:$6$abc$root:0:0::0:0:Charlie &:/root:/bin/sh
www:*:80:80::0:0:World Wide Web:/nonexistent:/usr/sbin/nologin
alice:$6$abc$alice:1001:1001::0:0:User &:/home/alice:/bin/sh
bob:*LOCKED*$6$abc$bob:1002:1500::0:0:User &:/home/bob:/bin/sh
staff:$6$abc$staff:5000:5000::0:0:User &:/home/staff:/bin/sh
"""
GROUP = "wheel:*:0:root,alice\nwww:*:80:\nalice:*:1001:www\nshop:*:1500:alice,staff\n"
INSIDE = """\
root:*:0:0::0:0:Charlie &:/root:/bin/sh
www:*:80:80::0:0:World Wide Web:/nonexistent:/usr/sbin/nologin
alice:*:1001:1001::0:0:User &:/home/alice:/bin/sh
bob:*:1002:1500::0:0:User &:/home/bob:/bin/sh
vmail:*:145:145::0:0:of a package:/nonexistent:/usr/sbin/nologin
"""
INSIDE_GROUP = "wheel:*:0:root,alice\nwww:*:80:vmail\nalice:*:1001:www\nshop:*:1500:alice\n"
POOLS = "; Written by cellblock\n# each account:\n[@NAME@]\n"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for folder, passwd, group in (("host", PASSWD, GROUP), ("jail", INSIDE, INSIDE_GROUP)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "master.passwd").write_text(passwd)
        (tmp_path / folder / "group").write_text(group)
    (tmp_path / "jail/passwd").write_text("alice:*:1001:1001:User &:/home/alice:/bin/sh\n")
    return tmp_path


def follows(
    host: Path, words: str = "", *, written: bool = False, **stubs: str
) -> subprocess.CompletedProcess[str]:
    """Run it where /etc of the host and of the jail are two directories of this machine."""
    pools = [(f"{host}/jail/pools", "php-fpm", "onereload")] if written else []
    text = render(
        "jail/follow",
        jail="web",
        lowest=1001,
        highest=1999,
        written=pools,
        filled=quote(FILLED),
        told=f"{host}/told",
    )
    text = text.replace("cd /etc\n", f"cd {host}/jail\n").replace(
        " /etc/.acc", f" {host}/jail/.acc"
    )
    text = re.sub(r"^PATH=.*|^export PATH", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=[ '])/etc/(master.passwd|group)", rf"{host}/host/\1", text)
    every = {
        "jls": "exit 0",
        "ln": 'exec /bin/ln "$@"',
        "jexec": 'shift; exec "$@"',
        "timeout": 'shift 3; exec "$@"',
        "lockf": 'shift 5; exec "$@"',
        "pwd_mkdb": f'mv "$2" {host}/jail/master.passwd',
        "service": "exit 0",
    }
    return typed(f"set -- {words}\n{text}", host, None, **(every | stubs))


def jails(host: Path, file: str) -> list[str]:
    return (host / "jail" / file).read_text().splitlines()


def changed(host: Path, file: str, old: str, new: str) -> None:
    text = (host / "host" / file).read_text()
    assert old in text
    (host / "host" / file).write_text(text.replace(old, new))


def test_a_jail_as_the_host_is_not_written(host: Path) -> None:
    writes = "echo written"
    done = follows(host, pwd_mkdb=writes, fsync=writes)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {each.name for each in (host / "jail").iterdir()} == {"master.passwd", "group", "passwd"}


def test_who_comes_goes_and_changes_leaves_the_others_as_they_are(host: Path) -> None:
    changed(host, "master.passwd", "alice:$6$abc$alice:1001", "zoe:$6$abc$zoe:1003")
    changed(host, "master.passwd", "/home/bob:/bin/sh", "/home/bob:/usr/sbin/nologin")
    changed(host, "group", "wheel:*:0:root,alice", "wheel:*:0:root,zoe")
    assert follows(host).returncode == 0
    assert jails(host, "master.passwd") == [
        *INSIDE.splitlines()[:2],
        "bob:*:1002:1500::0:0:User &:/home/bob:/usr/sbin/nologin",
        INSIDE.splitlines()[4],
        "zoe:*:1003:1001::0:0:User &:/home/alice:/bin/sh",
    ]
    assert jails(host, "group") == [
        *("wheel:*:0:root,zoe", "www:*:80:vmail", "alice:*:1001:www", "shop:*:1500:"),
    ]


def test_passwords_come_only_where_they_are_asked_for_and_none_of_a_locked_account(
    host: Path,
) -> None:
    assert follows(host, "passwords").returncode == 0
    assert [row.split(":")[1] for row in jails(host, "master.passwd")] == [
        *("*", "*", "$6$abc$alice", "*", "*"),
    ]
    changed(host, "master.passwd", "alice:", "#alice:")
    assert follows(host, "passwords").returncode == 0
    assert not [row for row in jails(host, "master.passwd") if "alice" in row]


@pytest.mark.parametrize(
    ("old", "new", "jails_own"),
    [
        ("shop:*:1500:alice,staff", "shop:*:1600:bob", "shop:*:1600:bob"),
        ("alice:*:1001:www", "alice:*:1001:", "alice:*:1001:"),
        ("shop:*:1500:alice,staff", "shop:*:1500:alice\nshop:*:1500:bob", "shop:*:1500:alice,bob"),
        ("www:*:80:", "www:*:80:alice", "www:*:80:vmail,alice"),
        ("shop:*:1500:alice,staff\n", "new:*:2500:www,bob,staff\n", "new:*:2500:www,bob"),
        ("www:*:80:", "www:*:81:", "www:*:80:vmail"),
    ],
    ids=["a gid", "www leaves", "on two lines", "the system's", "a new group", "the jail's gid"],
)
def test_groups(host: Path, old: str, new: str, jails_own: str) -> None:
    changed(host, "group", old, new)
    assert follows(host).returncode == 0
    assert jails_own in jails(host, "group")
    if "shop" not in new:
        assert ("shop:*:1500:alice" in jails(host, "group")) == (not new.startswith("new"))


@pytest.mark.parametrize("file", ["master.passwd", "group"])
@pytest.mark.parametrize("left", [0, 30], ids=["empty", "cut off"])
def test_a_file_of_the_host_that_is_not_whole_changes_nothing(
    host: Path, file: str, left: int
) -> None:
    place = host / "host" / file
    place.write_text(place.read_text()[len(place.read_text()) - left :])
    follows(host)
    assert jails(host, "master.passwd") == INSIDE.splitlines()
    assert jails(host, "group") == INSIDE_GROUP.splitlines()


def test_what_a_killed_run_has_left_is_in_nobodys_way(host: Path) -> None:
    for name in (".accounts.passwd.orig", "pwd.db.tmp", "spwd.db.tmp", ".accounts.group"):
        (host / "jail" / name).touch()
    changed(host, "master.passwd", "/home/alice:/bin/sh", "/home/alice:/bin/csh")
    exclusive = (
        f"set -C; : > {host}/jail/pwd.db.tmp && mv $2 {host}/jail/master.passwd; rm -f *.tmp"
    )
    assert follows(host, pwd_mkdb=exclusive).stdout == ""
    assert "alice:*:1001:1001::0:0:User &:/home/alice:/bin/csh" in jails(host, "master.passwd")
    assert {each.name for each in (host / "jail").iterdir()} == {"master.passwd", "group", "passwd"}


def test_what_is_written_is_on_the_disk_before_it_takes_its_place(host: Path) -> None:
    pooled(host)
    noted = host / "noted"
    changed(host, "master.passwd", "/home/alice:/bin/sh", "/home/alice:/bin/csh")
    changed(host, "group", "www:*:80:", "www:*:80:alice")
    notes = {
        "fsync": f'echo "fsync ${{1##*/}}" >> {noted}',
        "mv": f'echo "mv ${{2##*/}}" >> {noted}; exec /bin/mv "$@"',
        "pwd_mkdb": f'echo "pwd_mkdb ${{2##*/}}" >> {noted}; /bin/mv "$2" master.passwd',
    }
    assert follows(host, written=True, **notes).stdout == ""
    assert noted.read_text().splitlines() == [
        *("fsync .accounts.group", "mv .accounts.group"),
        *("fsync .accounts.passwd", "pwd_mkdb .accounts.passwd"),
        *("fsync pools.new", "mv pools.new"),
    ]


def test_what_the_jail_says_is_plain_short_and_mailed_once(host: Path) -> None:
    loud = "printf '\\033]0;x\\007%s' \"$(seq 2000)\""
    said = follows(host, jexec=loud).stdout
    assert said.startswith("]0;x1\n2\n")
    assert len(said) < 2001
    assert follows(host, jexec=loud).stdout == ""
    assert follows(host, jexec="echo another").stdout == "another\n"
    assert follows(host).stdout == ""
    assert follows(host, jexec="echo another").stdout == "another\n", "it was well in between"


def pooled(host: Path) -> Path:
    """Pools of alice that are older than the jail's passwd, which has zoe, too."""
    (host / "jail/pools").write_text("; Written by cellblock\n[alice]\n")
    (host / "jail/pools.accounts").write_text(POOLS)
    with (host / "jail/passwd").open("a") as file:
        file.write("zoe:*:1003:1003::/home/zoe:/bin/sh\n")
    subprocess.run(["touch", "-d", "2020-01-01", str(host / "jail/pools")], check=True)
    return host / "jail/pools"


def test_a_daemon_reads_its_file_anew_when_it_has_changed(host: Path) -> None:
    pools, calls = pooled(host), host / "calls"
    for _ in range(2):
        assert follows(host, written=True, service=f'echo "$*" >> {calls}').stdout == ""
    assert pools.read_text() == "; Written by cellblock\n[alice]\n[zoe]\n"
    assert calls.read_text().splitlines() == [
        *("php-fpm oneconfigtest", "php-fpm onestatus", "php-fpm onereload"),
    ]


def test_a_file_that_its_daemon_refuses_is_tried_again_and_told_once(host: Path) -> None:
    pools = pooled(host)
    before = pools.read_text()
    refuses = '[ "$2" != oneconfigtest ]'
    assert (
        "pools is as it was: php-fpm refuses" in follows(host, written=True, service=refuses).stdout
    )
    assert pools.read_text() == before
    assert follows(host, written=True, service=refuses).stdout == ""
    assert follows(host, written=True).stdout == ""
    assert "[zoe]" in pools.read_text()
    assert {each.name for each in pools.parent.glob("pools*")} == {"pools", "pools.accounts"}


def test_a_run_that_was_killed_before_the_test_leaves_the_file_that_was_good(host: Path) -> None:
    pools = pooled(host)
    pools.rename(f"{pools}.last")
    pools.write_text("nonsense\n")
    follows(host, written=True, service='[ "$2" != oneconfigtest ]')
    assert pools.read_text() == "; Written by cellblock\n[alice]\n"


def test_an_account_that_cannot_stand_there_is_left_out_and_told(host: Path) -> None:
    pools = pooled(host)
    with (host / "jail/passwd").open("a") as file:
        file.write("eve:*:1004:1004::/home/eve/:/bin/sh\n")
    assert "account eve: its name or home" in follows(host, written=True).stdout
    assert pools.read_text() == "; Written by cellblock\n[alice]\n[zoe]\n"


def test_a_jail_that_does_not_run_is_left_alone(host: Path) -> None:
    done = follows(host, jls="exit 1", jexec="echo ran")
    assert (done.returncode, done.stdout) == (0, "")
