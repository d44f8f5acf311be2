"""Programs that log in to MySQL on the host do so in the web jail, or check refuses the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan
from rollout.engine import checks
from rollout.errors import RolledBack
from rollout.host.session import Session
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.site import Site
from steps import web
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


def users(box: Box, *hosts: str, more: str = "") -> None:
    rows = "".join(f"shop {each} {SECRET} {more}\n" for each in hosts)
    typed(box, f"printf %s '{rows}' > /var/db/mysql/users; chown mysql:mysql /var/db/mysql/users")


def with_client(made: Plan) -> Site:
    mysql = made.site.services["mysql"].model_copy(update={"client": "/usr/local/bin/mysql"})
    services = {**made.site.services, "mysql": mysql}
    return made.site.model_copy(update={"services": services})


def told(there: Site, box: Box) -> str:
    """What `check` says about logins; "" if nothing is wrong."""
    asked = [each for each in web.preflight(there) if each.test.startswith("mysql::")]
    with Session(box.target) as session:
        verdicts = checks.run(asked, session, there, box.outside)
    said = "\n".join(each.message for each in verdicts if not each.passed)
    assert SECRET not in said
    return said


def test_a_user_that_may_not_come_from_the_jail_is_refused(made: Plan, box: Box) -> None:
    users(box, "localhost")
    said = told(with_client(made), box)
    assert f"{HOME}/wp-config.php: shop at 127.0.0.1: the account that fits it here is" in said
    assert "shop@localhost, and none fits there: CREATE USER 'shop'@'10.80.0.4'" in said
    assert "cannot know whether there is one for 10.80.0.4, too: set it" in told(made.site, box)
    users(box, "localhost", "10.80.0.%")
    assert not told(with_client(made), box)
    users(box, "%")
    assert not told(made.site, box)


def test_a_database_that_it_may_not_use_from_there_is_refused(made: Plan, box: Box) -> None:
    users(box, "localhost", more="shop")
    typed(box, f"echo shop % {SECRET} >> /var/db/mysql/users")
    assert "from there it may not use shop" in told(with_client(made), box)


def test_a_program_that_uses_the_socket_needs_it_in_the_jail(made: Plan, box: Box) -> None:
    users(box, "localhost")
    typed(box, f"sed -i '' -e s/127.0.0.1/localhost/ {HOME}/wp-config.php")
    assert not told(made.site, box)
    jail = made.site.jails["web"]
    jails = {**made.site.jails, "web": jail.model_copy(update={"mounts": jail.mounts[:1]})}
    without = made.site.model_copy(update={"jails": jails})
    assert "whose directory jails.web.mounts must have" in told(without, box)


def test_a_password_that_does_not_fit_there_undoes_the_step(made: Plan, box: Box) -> None:
    users(box, "localhost")
    typed(box, "echo shop 10.80.0.4 other >> /var/db/mysql/users")
    made = plan.make(with_client(made))
    with runner(made, box) as there:
        with pytest.raises(RolledBack) as undone:
            there.apply()
        said = undone.value.evidence or ""
        assert f"{HOME}/wp-config.php: shop at 127.0.0.1 (MySQL's error 1045)" in said
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
