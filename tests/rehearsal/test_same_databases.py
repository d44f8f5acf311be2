"""The jail's MySQL has the databases of the host's, or mysql.cutover is undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan
from rollout.errors import RolledBack, Stuck
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

DATA = "/var/db/mysql"
CLIENT = "/usr/local/bin/mysql -u root"
COUNT = "mysql -N -e 'SELECT COUNT(*) FROM rows'"


@pytest.fixture(scope="module")
def made() -> Plan:
    site = ordered("mysql").site
    mysql = site.services["mysql"].model_copy(update={"client": CLIENT})
    return plan.make(site.model_copy(update={"services": {**site.services, "mysql": mysql}}))


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        typed(
            box,
            f"cd {DATA} && mkdir shop wiki && touch shop/a.frm shop/b.frm wiki/page.frm && "
            "echo '[auto]' > auto.cnf && echo server-uuid=8a94f357 >> auto.cnf && "
            "chown -R mysql:mysql shop wiki auto.cnf",
        )
        yield box


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        pytest.param(
            "sysrc -j mysql mysql_dbdir=/var/db/other && jexec mysql sh -c "
            "'mkdir /var/db/other && chown mysql:mysql /var/db/other'",
            ["server uuid: 8a94f357 on the host, none in jail mysql", "database shop: 2 tables"],
            id="an empty database",
        ),
        pytest.param(
            f"mkdir /root/empty && mount -t nullfs /root/empty /usr/jails/mysql/root{DATA}/shop",
            ["database shop: 2 tables on the host, 0 in jail mysql"],
            id="a database that is hidden",
        ),
    ],
)
def test_other_databases_undo_the_step(spoilt: str, told: list[str], made: Plan, box: Box) -> None:
    rows = typed(box, COUNT)
    with runner(made, box) as there:
        there.apply("mysql.jail")
        typed(box, spoilt)
        with pytest.raises(RolledBack):
            there.apply()
        log = typed(box, "cat /var/db/cellblock/steps/*-mysql.cutover/log")
        assert [each for each in told if each not in log] == []
        assert host(box).who_answers("203.0.113.2", 3306) == "host"
        assert typed(box, COUNT) == rows


def test_the_same_databases_move_and_come_back_with_a_new_one(made: Plan, box: Box) -> None:
    with runner(made, box) as there:
        there.apply()
        assert host(box).who_answers("203.0.113.2", 3306) == "mysql"
        typed(box, f"cd {DATA} && mkdir new && touch new/a.frm && rm -r wiki")
        there.rollback()
        assert host(box).who_answers("203.0.113.2", 3306) == "host"
        log = typed(box, "cat /var/db/cellblock/steps/*-mysql.cutover/log")
        assert "tables" not in log


def test_a_server_that_has_to_recover_is_waited_for(made: Plan, box: Box) -> None:
    """Its rc script says that it does not run, longer than a start is waited for otherwise."""
    with runner(made, box) as there:
        there.apply("mysql.jail")
        typed(box, f"echo 15 > {DATA}/recovery")
        there.apply()
        assert host(box).who_answers("203.0.113.2", 3306) == "mysql"


def test_a_server_that_recovers_too_long_is_ended_and_its_log_shown(
    made: Plan, tmp_path: Path
) -> None:
    """The host's could not start while the jail's has the files open."""
    mysql = made.site.services["mysql"].model_copy(update={"stop_within": 20})
    services = {**made.site.services, "mysql": mysql}
    soon = plan.make(made.site.model_copy(update={"services": services}))
    with standin_box(soon.site, tmp_path) as box, runner(soon, box) as there:
        there.apply("mysql.jail")
        typed(box, f"echo 500 > {DATA}/recovery")
        with pytest.raises(RolledBack) as undone:
            there.apply()
        said = undone.value.evidence or ""
        assert "mysql-server did not come up in jail mysql" in said
        assert "its log, /var/db/mysql/host.err, ends with:" in said
        assert "InnoDB: Starting crash recovery" in said
        assert host(box).who_answers("203.0.113.2", 3306) == "host"


def test_a_host_with_other_databases_than_the_jail_is_told_on_the_way_back(
    made: Plan, box: Box
) -> None:
    """Its rows would be those of before the move."""
    with runner(made, box) as there:
        there.apply()
        typed(box, "mkdir /root/old && chown mysql:mysql /root/old && sysrc mysql_dbdir=/root/old")
        with pytest.raises(Stuck):
            there.rollback()
        log = typed(box, "cat /var/db/cellblock/steps/*-mysql.cutover/log")
        assert "database shop: 2 tables in jail mysql, 0 on the host" in log
