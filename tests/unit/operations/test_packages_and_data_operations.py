"""Packages of a jail, and what a daemon's data needs around a move."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from operations import daemon, data, packages
from operations.facts import ServiceRuns
from tests.unit.operations.asking import pairs, reversible, typed


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


# What mysql -N -B printed of MariaDB 10.11.19; its first line is one of MySQL, for its uuid.
HAS = "server_uuid\t8a94f357\n= my shop\t1\n= shop\t3\n"
AWKS = [awk for awk in ("awk", "mawk", "gawk", "original-awk") if shutil.which(awk)]


def handed_over(tmp_path: Path, had: str, has: str, awk: str = "awk") -> tuple[int, str]:
    """The exit code and output of the hand-over, when the two servers answer so."""
    [command] = reversible(
        daemon.handover,
        {ServiceRuns: True},
        script="mysql-server",
        jail="db",
        twin=data.same_databases("client", "db"),
    )
    (tmp_path / "here").write_text(had)
    (tmp_path / "there").write_text(has)
    stubs = {
        "client": f"cat {tmp_path}/served",
        "service": f"""case $2 in (onestop) rm {tmp_path}/served;;
            (onestart) cp {tmp_path}/there {tmp_path}/served;; esac; echo 'x is running'""",
        "jexec": 'shift; exec "$@"',
        "awk": f'exec {shutil.which(awk)} "$@"',
        "sleep": "",
    }
    (tmp_path / "served").hardlink_to(tmp_path / "here")
    done = typed(command.do, tmp_path, tmp_path, **stubs)
    return done.returncode, done.stdout


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize(
    ("has", "told"),
    [
        (HAS, ""),
        (HAS.replace("shop\t3", "shop\t4") + "= new\t1\n", ""),
        (HAS.replace("shop\t3", "shop\t2"), "database shop: 3 tables on the host, 2 in jail db\n"),
        (HAS[: HAS.index("=")], "database my shop: 1 tables on the host, 0 in jail db\n"),
        (HAS.replace("8a", "9b"), "server uuid: 8a94f357 on the host, 9b94f357 in jail db\n"),
        ("", "server uuid: 8a94f357 on the host, none in jail db\n"),
    ],
)
def test_a_jail_that_lacks_a_database_fails(tmp_path: Path, awk: str, has: str, told: str) -> None:
    code, said = handed_over(tmp_path, HAS, has, awk)
    assert (code == 0) is not bool(told)
    assert told in said


def test_many_lost_databases_are_counted(tmp_path: Path) -> None:
    had = "".join(f"= shop{n}\t1\n" for n in range(25))
    code, said = handed_over(tmp_path, had, "")
    assert code != 0
    assert said.count("database shop") == 10
    assert said.endswith("and 15 more databases\n")


def test_a_server_that_does_not_answer_is_no_server_without_databases(tmp_path: Path) -> None:
    [command] = reversible(
        daemon.handover,
        {ServiceRuns: True},
        script="x",
        jail="db",
        twin=data.same_databases("client", "db"),
    )
    stubs = {
        "client": f"[ ! -e {tmp_path}/asked ] || {{ echo ERROR 1130 >&2; exit 1; }}; "
        f": > {tmp_path}/asked",
        "service": "echo 'x is running'",
        "jexec": 'shift; exec "$@"',
        "sleep": "",
    }
    done = typed(command.do, tmp_path, tmp_path, **stubs)
    assert done.returncode != 0
    assert (
        "the server in jail db gives no answer to services.mysql.client:\nERROR 1130" in done.stdout
    )
