"""Programs that log in to MySQL on the host do so in the web jail, or web.standby is undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.errors import RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

HOME = "/usr/home/user001"
SECRET = "correct-horse"  # noqa: S105 - of nobody
CONFIG = f"""\
<?php
// define('DB_USER', 'old');
define( 'DB_USER', 'shop' );
define( 'DB_PASSWORD', '{SECRET}' );
define( 'DB_HOST', '127.0.0.1' );
"""


@pytest.fixture(scope="module")
def made() -> Plan:
    return ordered("mysql", "web")


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        typed(
            box,
            f"cat > {HOME}/wp-config.php <<'EOF'\n{CONFIG}EOF\n"
            f"chown user001:user001 {HOME}/wp-config.php && chmod 600 {HOME}/wp-config.php",
        )
        yield box


def users(box: Box, *hosts: str) -> None:
    rows = "".join(f"shop {each} {SECRET}\\n" for each in hosts)
    typed(box, f"printf '{rows}' > /var/db/mysql/users; chown mysql:mysql /var/db/mysql/users")


def test_a_user_that_may_not_come_from_the_jail_undoes_the_step(made: Plan, box: Box) -> None:
    users(box, "localhost")
    with runner(made, box) as there:
        with pytest.raises(RolledBack) as undone:
            there.apply()
        said = undone.value.evidence or ""
        assert f"{HOME}/wp-config.php: shop at 127.0.0.1 (MySQL's error 1130)" in said
        assert "They come from 10.80.0.4 there" in said
        assert SECRET not in said
        users(box, "localhost", "10.80.0.4")
        there.apply()
        assert host(box).who_answers("203.0.113.2", 80) == "web"
    assert SECRET not in typed(box, "cat /var/db/cellblock/log /var/db/cellblock/steps/*/log")


def test_a_login_that_fails_on_the_host_is_no_difference(made: Plan, box: Box) -> None:
    typed(box, "echo 'shop localhost other' > /var/db/mysql/users")
    with runner(made, box) as there:
        there.apply("web.standby")
        assert all(each.passed for each in there.verify())
