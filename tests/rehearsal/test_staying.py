"""Only the web moves: what stays on the host is reached from its jail where it always was."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import plan
from rollout.errors import RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

LOCAL = (
    "echo 'bind-address = 127.0.0.1' >>/usr/local/etc/mysql/my.cnf; service mysql-server restart"
)
"""On all addresses it would be reached from a jail in any case."""


def local() -> Plan:
    """A plan for a host whose MySQL listens on 127.0.0.1 alone, and stays."""
    made = ordered("web").site
    port = made.services["mysql"].ports[0].model_copy(update={"public": False})
    mysql = made.services["mysql"].model_copy(update={"ports": (port,)})
    return plan.make(made.model_copy(update={"services": {**made.services, "mysql": mysql}}))


def test_programs_in_the_jail_reach_what_stays_there_and_after_a_restart(tmp_path: Path) -> None:
    made = local()
    with standin_box(made.site, tmp_path) as box:
        typed(box, LOCAL)
        with runner(made, box) as there:
            there.apply()
        for _ in range(2):
            assert host(box).who_answers("127.0.0.1", 3306, source="web") == "host"
            assert "mysql.sock" in typed(box, "jexec web ls /var/run/mysql")
            box.reboot()
        with runner(made, box) as back:
            assert all(verdict.passed for verdict in back.verify())
            back.rollback()
        assert host(box).strange == []


def test_a_jail_that_does_not_reach_it_is_undone(tmp_path: Path) -> None:
    made = local()
    with standin_box(made.site, tmp_path) as box:
        typed(box, LOCAL)
        with runner(made, box) as there:
            there.apply("network")
        typed(box, f"ipfw -q set disable {made.site.places['mysql'].set}")
        with runner(made, box) as there, pytest.raises(RolledBack) as undone:
            there.apply("web.jail")
        assert "does not answer a program in jail web that asks 127.0.0.1:3306" in str(undone.value)
