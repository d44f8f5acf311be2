"""The output of audit.sh, parsed: by account, once each, and never a line of a user's file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from operations.audit import SCRIPT
from rollout import audit, site
from rollout.audit import Finding
from rollout.errors import Refused

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")
SAID = """\
account alice\t/usr/home/alice
account shop\t/usr/home/alice/shop
open 100666 /usr/home/alice/my notes.txt
open 41777 /usr/home/alice/tmp
setuid 104755 /usr/home/alice/shop/run
localhost 7 /usr/home/alice/shop/db.php
localhost 7 /usr/home/alice/shop/db.php
odd 4711 -
"""


def test_a_finding_belongs_to_the_account_whose_home_is_nearest() -> None:
    assert audit.findings(SAID) == [
        Finding("?", "odd", "inode 4711"),
        Finding("alice", "open", "/usr/home/alice/my notes.txt", mode="666"),
        Finding("alice", "open", "/usr/home/alice/tmp", mode="1777"),
        Finding("shop", "localhost", "/usr/home/alice/shop/db.php", line=7),
        Finding("shop", "setuid", "/usr/home/alice/shop/run", mode="4755"),
    ]


def test_who_still_says_localhost_gets_a_letter() -> None:
    assert list(audit.still_local(audit.findings(SAID))) == ["shop"]


def test_the_table_names_file_and_line() -> None:
    rows = audit.table(audit.findings(SAID)).splitlines()
    assert any("/usr/home/alice/shop/db.php:7" in row and "localhost" in row for row in rows)


def test_a_site_without_people_is_refused() -> None:
    jails = {name: jail.model_copy(update={"uids": None}) for name, jail in SAMPLE.jails.items()}
    with pytest.raises(Refused, match="no jail has uids"):
        audit.ranges(SAMPLE.model_copy(update={"jails": jails}))


CASES = {
    "a.php": ("<?php mysqli_connect('localhost', 'u', 'SECRET');\n", [1]),
    "b.php": ("<?php\n// new mysqli('localhost')\n# mysql 127.0.0.1\n", []),
    "wp-config.php": ("<?php\ndefine('DB_HOST', 'localhost');\n", [2]),
    ".env": ("SMTP_HOST=localhost\nDB_HOST=127.0.0.1\n", [2]),
    "database.yml": ("adapter: mysql2\nhost: localhost\n", [2]),
    "x.pl": ('DBI->connect("DBI:mysql:shop:localhost");\n', [1]),
    "x.py": ("import pymysql\npymysql.connect(host='127.0.0.1')\n", [2]),
    "no.php": ("<?php $server = 'localhost'; // no database here\n", []),
    "url.php": ("<?php mysql_query($q);\n$url = 'http://localhost/';\n", []),
    "text.txt": ("mysql localhost\n", []),
}


def test_what_still_says_localhost_is_found_and_nothing_else(tmp_path: Path) -> None:
    """The awk of audit.sh on this machine; find and stat are FreeBSD's, see tests/rehearsal."""
    text = SCRIPT.read_text(encoding="utf-8")
    awk = text.partition("-exec awk '")[2].partition("' {} +")[0]
    for name, (content, _) in CASES.items():
        (tmp_path / name).write_text(content)
    names = sorted(name for name in CASES if name != "text.txt")
    program = shutil.which("awk") or "awk"
    done = subprocess.run(
        [program, awk, *names], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=20
    )
    found = [line.split() for line in done.stdout.splitlines()]
    expected = [["localhost", str(line), name] for name in names for line in CASES[name][1]]
    assert sorted(found) == sorted(expected)
    assert "SECRET" not in done.stdout


def test_what_accounts_use_of_each_other_is_listed() -> None:
    found = audit.sharing("alice\t/home/alice/my x.php:3\tnames the home of bob\n")
    assert found == [
        Finding("alice", "shared", "/home/alice/my x.php:3", why="names the home of bob")
    ]
    assert "names the home of bob" in audit.table(found)
    with pytest.raises(Refused, match="cannot be read"):
        audit.sharing("alice\t/x\n")
